#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include <torch/types.h>

#include "training/loop/callback.h"
#include "training/loop/model.h"
#include "training/loop/optimiser.h"
#include "training/loop/task.h"

namespace orchard::training {

/// In which numbers forward and loss are computed. Weights, gradients and moments are FP32.
enum class Arithmetic {
  kFp32,
  kBf16,  ///< products in BF16 where LibTorch's autocast knows how, on the loop's own thread
};

struct LoopOptions {
  std::string title = {};
  size_t first_epoch = 0;
  size_t epochs = 1;
  size_t accumulate = 1;       ///< batches whose gradients make one step
  double gradient_norm = 0.0;  ///< clipped to it; 0: not
  std::uint64_t seed = 0;      ///< of LibTorch's generators, set anew at every epoch
  torch::Device device = torch::kCPU;
  Arithmetic arithmetic = Arithmetic::kFp32;
};

/// Runs the epochs from `first_epoch` on. Because what is random depends on the seed and the epoch
/// alone, going on from a saved epoch gives the same weights as never having stopped, and no
/// generator's state need be saved.
///
/// Each step: `accumulate` batches forwards and backwards (their gradients are added, each batch's
/// loss divided by their number), the gradients clipped, one step of the optimiser at the factor
/// that a callback has set.
///
/// Errors: FAILED_PRECONDITION, naming epoch, step and terms, when a loss or the norm of the
/// gradients is not finite: that step is not taken and no callback called any more, so that what
/// was saved last stays; those of the model and of callbacks; INTERNAL with LibTorch's message.
absl::Status RunLoop(Task& task, Model& model, AdamW& optimiser,
                     std::span<Callback* const> callbacks, const LoopOptions& options);

}  // namespace orchard::training
