#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

/// \file
/// Convolutional networks that may stand alone: picture → map → pooled features → logits. Sizes are
/// those of models.md section 8; submodule names are those under which weights are published, so
/// that a file of weights is loaded as it is (names.h maps timm's).

namespace orchard::nets {

enum class BackboneKind : std::uint8_t {
  kSimpleCnn,  ///< three convolutions (S4)
  kVgg16,      ///< the 13 convolutions of VGG16
  kResNet18,
  kResNet50,
  kEfficientNetB0,
  kEfficientNetLite0,
  kEfficientNetLite2,
};

/// "simple_cnn", "vgg16", "resnet18", "resnet50", "efficientnet_b0", …
std::string_view NameOf(BackboneKind kind);

struct BackboneOptions {
  BackboneKind kind = BackboneKind::kResNet18;
  /// Of the network's own classifier on pooled features; 0: none, and forward() gives the features.
  /// kSimpleCnn and kVgg16 have none: theirs would read a map of one size (VGG16's has 123.6 M
  /// parameters and no weights to be had).
  int64_t classes = 0;
  bool same_padding = false;  ///< kSimpleCnn: padding 1 instead of none
  /// kResNet50: Keras' form, biases on convolutions and the stride on a bottleneck's first 1×1.
  bool keras = false;
};

std::vector<std::string> Faults(const BackboneOptions& options);

struct BackboneImpl : torch::nn::Module {
  /// What may be put after a stage: (index, [N, C, h, w]) → the same shape.
  using AfterStage = std::function<torch::Tensor(size_t stage, const torch::Tensor& map)>;

  /// [N, 3, H, W], preprocessed as its weights want it → the last map [N, C, h, w].
  virtual torch::Tensor Map(const torch::Tensor& x, const AfterStage& after) = 0;

  /// The width of each stage's output; the last is C.
  virtual std::vector<int64_t> StageChannels() const = 0;

  /// pooled [N, C] → logits [N, classes], or as it is without a classifier.
  virtual torch::Tensor Classify(const torch::Tensor& pooled) { return pooled; }

  /// Map, mean over positions, Classify.
  torch::Tensor forward(const torch::Tensor& x);
};
using Backbone = std::shared_ptr<BackboneImpl>;

/// Errors: INVALID_ARGUMENT with every sentence of Faults.
absl::StatusOr<Backbone> MakeBackbone(const BackboneOptions& options);

/// `after` if there is one, else the map as it is.
torch::Tensor After(const BackboneImpl::AfterStage& after, size_t stage, const torch::Tensor& map);

/// Convolutions from N(0, 2 / (k² · out)), linear maps from N(0, .01²), biases 0, norms 1 and 0: He
/// et al. 2015, for training from scratch.
void InitialiseForRelu(torch::nn::Module& module);

}  // namespace orchard::nets
