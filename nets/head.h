#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "core/tensor.h"

namespace orchard::nets {

/// A network on top of the encoder: a gate or an expert. Features of one kind → logits [N,
/// classes].
struct HeadModule : torch::nn::Module {
  virtual torch::Tensor forward(const torch::Tensor& features) = 0;

  /// Starts from what the pretrained encoder already knows, where the architecture can: tails copy
  /// the encoder's last convolution. `last_block` is the encoder's features.18. By default nothing.
  virtual void InitialiseFrom(torch::nn::Module& last_block);
};
using Head = std::shared_ptr<HeadModule>;

/// What an architecture needs to know. `arguments` are the manifest's; absent ones take defaults.
struct HeadArgs {
  int64_t classes = 0;
  double dropout = 0.2;  ///< while training
  std::map<std::string, int> arguments;

  /// arguments[name], or `fallback`.
  int64_t Get(const std::string& name, int64_t fallback) const;
};

/// Every argument is a number of channels, and a multiple of this. oneDNN pads channels to 16, and
/// LibTorch 1.13 gives padded tensors a wrong size in elementwise operations (it warns of a resized
/// output). A row's bits must not depend on its place in the batch either: for exponentials (SiLU,
/// sigmoid), which LibTorch computes on pairs of vector registers, exponentials.h sees to that.
inline constexpr int64_t kChannelStep = 16;

/// An architecture that manifests and recipes may name.
struct HeadEntry {
  std::string_view name;
  core::FeatureKind feature_kind;
  std::vector<std::string_view> arguments;  ///< names that it takes
  Head (*make)(const HeadArgs& args);
};

/// Every architecture, in a fixed order.
const std::vector<HeadEntry>& Heads();

/// Errors: INVALID_ARGUMENT naming `architecture` and the known names, or an argument that it does
/// not take or that is not a positive multiple of kChannelStep, or fewer than two classes.
absl::StatusOr<const HeadEntry*> FindHead(std::string_view architecture, const HeadArgs& args);

/// FindHead and make. Same errors.
absl::StatusOr<Head> MakeHead(std::string_view architecture, const HeadArgs& args);

/// The shape of one row of `kind`: {1280} or {320, 7, 7}.
std::vector<int64_t> RowShape(core::FeatureKind kind);

}  // namespace orchard::nets
