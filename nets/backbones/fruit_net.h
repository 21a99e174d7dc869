#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// Which attention, and after which stages of the trunk.
enum class TrunkAttention : std::uint8_t {
  kNone,
  kSeEnd,       ///< squeeze-and-excitation (r 8) on the last map (S4)
  kSeStages,    ///< after every stage
  kCbamStages,  ///< CBAM (r 16) after every stage
  kAddEnd,      ///< as kSeEnd, but added: the control for capacity
};

/// "none", "se_end", …
std::string_view NameOf(TrunkAttention attention);

/// The six models of S4 and their corrected factorial (models.md section 7): a trunk, attention or
/// not, one hidden layer, a head.
struct FruitNetOptions {
  BackboneKind trunk = BackboneKind::kSimpleCnn;  ///< kSimpleCnn, kVgg16, kResNet18 or kResNet50
  TrunkAttention attention = TrunkAttention::kNone;
  int64_t classes = 36;  ///< from 1 to 65,536; 1: the binary head, one logit (fruit or vegetable)
  int64_t side = 256;    ///< pixels of the picture, from 32 to 1,024; kSimpleCnn flattens its map
  double dropout = 0.5;  ///< before the last layer, from 0 to .9
  bool same_padding = false;  ///< kSimpleCnn; S4 pads where it has attention
  bool keras = false;         ///< kResNet50, as in BackboneOptions
};

std::vector<std::string> Faults(const FruitNetOptions& options);

/// Parameters with 36 classes at 256 pixels: CNN 14,843,620 (binary 14,839,105), with attention and
/// padding 16,879,476; VGG16 14,855,268 and 14,921,380; ResNet-50 24,041,828 and 25,092,708
/// (torchvision's form; Keras' counts 24,121,508 and 25,172,388 with moving statistics).
///
///   x [N,3,S,S] ─ trunk, attention after stages ─ flatten (CNN) or mean ─ Linear(128 or 256), ReLU
///   ─ dropout ─ Linear ─► logits [N, classes]
///
/// Submodules: `trunk`, `attention.N`, `hidden`, `head`.
struct FruitNetImpl final : torch::nn::Module {
  explicit FruitNetImpl(const FruitNetOptions& options);  ///< without faults
  torch::Tensor forward(const torch::Tensor& x);

  /// The last part of forward: the trunk's last map [N, C, h, w], as `trunk->Map(x, nullptr)` gives
  /// it where no attention is between stages → logits.
  torch::Tensor AfterTrunk(const torch::Tensor& map);

  Backbone trunk;
  torch::nn::ModuleList attention{nullptr};  ///< of MapAttentionImpl, one a stage that has some
  torch::nn::Linear hidden{nullptr}, head{nullptr};
  torch::nn::Dropout drop{nullptr};

 private:
  FruitNetOptions options_;
};
TORCH_MODULE(FruitNet);

/// Errors: INVALID_ARGUMENT with every sentence of Faults.
absl::StatusOr<FruitNet> MakeFruitNet(const FruitNetOptions& options);

}  // namespace orchard::nets
