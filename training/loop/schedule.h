#pragma once

#include <cstddef>

#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

/// The learning rate's factor over a run: linear from 0 to 1 over `warmup` steps, then half a
/// cosine down to `final_factor` at the last step.
struct Schedule {
  size_t steps = 1;
  size_t warmup = 0;
  double final_factor = 0.0;

  /// `step` counts from 0. The first step of a warm-up has the factor 1 / warmup.
  double Factor(size_t step) const;
};

/// Of all the recipe's epochs, in steps of the optimiser, with `batches` an epoch.
Schedule ScheduleOf(const v1::Optimisation& optimisation, size_t batches);

}  // namespace orchard::training
