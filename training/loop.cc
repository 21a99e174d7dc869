#include "training/loop.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <torch/utils.h>

#include "core/status.h"
#include "training/progress.h"
#include "training/training.h"

namespace orchard::training {

absl::Status RunLoop(Task& task, AdamW& optimiser, WeightAverage& average,
                     const LoopOptions& options,
                     const std::function<absl::Status(size_t, double)>& after_epoch) {
  for (size_t epoch = options.first_epoch; epoch < options.epochs; ++epoch) {
    torch::manual_seed(Mix(options.seed, epoch));
    task.BeginEpoch(epoch);
    double sum = 0.0;
    {
      Progress progress(absl::StrCat(options.title, " ", epoch + 1, "/", options.epochs),
                        task.steps(), static_cast<double>(task.batch()), "pictures");
      for (size_t step = 0; step < task.steps(); ++step) {
        sum += task.Learn();
        if (options.gradient_norm > 0.0) optimiser.ClipGradients(options.gradient_norm);
        optimiser.Step(options.schedule.Factor(epoch * task.steps() + step));
        average.Update();
        progress.Update(step + 1,
                        absl::StrFormat("loss %.4f", sum / static_cast<double>(step + 1)));
      }
    }
    ORCHARD_RETURN_IF_ERROR(after_epoch(epoch + 1, sum / static_cast<double>(task.steps())));
  }
  return absl::OkStatus();
}

}  // namespace orchard::training
