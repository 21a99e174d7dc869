#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"

#include "training/average.h"
#include "training/optimiser.h"
#include "training/schedule.h"

namespace orchard::training {

/// Something to learn: gives batches and, of each, the gradients. The loop knows no network.
class Task {
 public:
  virtual ~Task() = default;

  /// Batches an epoch; the same for every epoch.
  virtual size_t steps() const = 0;
  virtual size_t batch() const = 0;  ///< pictures a step

  /// Called before the steps of `epoch`, which counts from 0 and may start later after a resume.
  virtual void BeginEpoch(size_t epoch) = 0;

  /// Takes the next batch, leaves the gradients in the parameters, returns the loss.
  virtual double Learn() = 0;
};

struct LoopOptions {
  std::string title;
  size_t first_epoch = 0;
  size_t epochs = 1;
  Schedule schedule;           ///< over all steps of all epochs
  double gradient_norm = 0.0;  ///< clipped to it; 0: not
  std::uint64_t seed = 0;      ///< of LibTorch's generator, set anew at every epoch
};

/// Runs the epochs from `first_epoch` on; `after_epoch` (with the number of epochs done and their
/// mean loss) validates and saves, and its error ends the loop. Because what is random depends on
/// the seed and the epoch alone, going on from a saved epoch gives the same weights as never having
/// stopped.
absl::Status RunLoop(Task& task, AdamW& optimiser, WeightAverage& average,
                     const LoopOptions& options,
                     const std::function<absl::Status(size_t, double)>& after_epoch);

}  // namespace orchard::training
