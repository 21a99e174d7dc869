#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

namespace orchard::nets {

/// How far a row's answer depends on the other rows of its batch.
enum class Invariance {
  kBits,      ///< not at all: the same bits in any batch
  kRounding,  ///< in its last bits: kernels are chosen by the size of the batch
};

/// A trained network, ready to serve: the one thing that the model layer knows of it. Thread-safe.
///
/// There are three ways to become one: frozen.h (traced once, an optimised graph), eager.h (the
/// module's own forward, for networks whose path depends on their input) and fused_encoder.h (a
/// list of oneDNN primitives). Which one an architecture takes is said in its registry (heads.cc).
class Servable {
 public:
  virtual ~Servable() = default;

  /// `input`, first dimension N: rows → outputs, N rows each. Errors: INTERNAL with the library's
  /// message.
  virtual absl::StatusOr<std::vector<torch::Tensor>> Run(const torch::Tensor& input) const = 0;

  virtual Invariance invariance() const = 0;
};

/// A module's forward, as a function of one tensor.
using Forward = std::function<std::vector<torch::Tensor>(const torch::Tensor&)>;

/// The ways that any module may take.
enum class Way { kFrozen, kEager };

/// Puts `module` in evaluation mode and makes it servable by `way`. `forward` is traced on
/// `example`, or kept: with kEager it shares the ownership of what it calls. Errors: INTERNAL.
absl::StatusOr<std::unique_ptr<Servable>> MakeServable(Way way, const std::string& name,
                                                       torch::nn::Module& module,
                                                       const Forward& forward,
                                                       const torch::Tensor& example);

}  // namespace orchard::nets
