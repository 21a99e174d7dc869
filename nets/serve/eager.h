#pragma once

#include "nets/serve/servable.h"

namespace orchard::nets {

/// A module's own forward, operation by operation: for networks that no trace can hold, because
/// what they compute depends on their input (a sparse mixture's dispatch, say). Thread-safe, as
/// long as `forward` only reads.
class EagerNet final : public Servable {
 public:
  /// Puts `module` in evaluation mode, its parameters out of the graph. `forward` owns what it
  /// calls.
  static EagerNet Make(torch::nn::Module& module, Forward forward);

  absl::StatusOr<std::vector<torch::Tensor>> Run(const torch::Tensor& input) const override;
  Invariance invariance() const override { return Invariance::kRounding; }

 private:
  explicit EagerNet(Forward forward) : forward_(std::move(forward)) {}

  Forward forward_;
};

}  // namespace orchard::nets
