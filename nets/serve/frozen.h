#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/script.h>

#include "nets/serve/servable.h"

namespace orchard::nets {

/// A trained network as an optimised graph for inference: BatchNorm folded, weights packed for
/// oneDNN. Bitwise the same answer for a row whatever the batch (measured per architecture in
/// tests/unit/nets). Thread-safe.
///
/// The graph is traced from the module's own forward, so that an architecture is written once.
/// Why and what it gains: docs/decisions/0002-traced-and-optimised-graphs.md.
class FrozenNet final : public Servable {
 public:
  /// Traces `forward` on `example` (first dimension: the batch, of any size later), whose tensors
  /// of parameters become constants. `module` is put in evaluation mode. Errors: INTERNAL with
  /// LibTorch's message.
  static absl::StatusOr<FrozenNet> Make(const std::string& name, torch::nn::Module& module,
                                        const Forward& forward, const torch::Tensor& example);

  absl::StatusOr<std::vector<torch::Tensor>> Run(const torch::Tensor& input) const override;
  Invariance invariance() const override { return Invariance::kBits; }

 private:
  explicit FrozenNet(torch::jit::Module graph) : graph_(std::move(graph)) {}

  mutable torch::jit::Module graph_;  // forward() is not const in LibTorch, but only reads.
};

}  // namespace orchard::nets
