#include "training/loop/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace orchard::training {

double Schedule::Factor(size_t step) const {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  const size_t left = steps - std::min(warmup, steps);
  if (left <= 1) return 1.0;
  const double progress =
      std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(left - 1));
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return final_factor + (1.0 - final_factor) * cosine;
}

Schedule ScheduleOf(const v1::Optimisation& optimisation, size_t batches) {
  const size_t accumulate = std::max<size_t>(optimisation.accumulate(), 1);
  const size_t steps = std::max<size_t>(batches / accumulate, 1);
  const double warmup = optimisation.warmup_epochs() * static_cast<double>(steps);
  return {.steps = optimisation.epochs() * steps,
          .warmup = static_cast<size_t>(warmup + 0.5),
          .final_factor = optimisation.final_factor()};
}

}  // namespace orchard::training
