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

}  // namespace orchard::training
