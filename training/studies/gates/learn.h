#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/feature_task.h"
#include "training/loop/gates.h"
#include "training/measure/hits.h"
#include "training/training.h"

namespace orchard::training {

class RunLog;

/// Pictures as gates see them.
struct GateSide {
  FeatureTable features;      ///< pooled alone
  std::vector<Label> labels;  ///< [N]
};

/// How gates do, at temperature 1.
struct GateFigures {
  Hits branch;       ///< the most probable branch is right
  Hits domain;       ///< the most probable domain is
  double nll = 0.0;  ///< mean of -log p(domain), nats
};
GateFigures MeasureGates(GatesImpl& gates, const GateSide& side);

/// Trains `gates` by cross-entropy of branch and domain, as the recipe's optimisation says, and
/// leaves in them the weights of the epoch whose most probable domain was most often right on
/// `validation`, the later one of equals, as FP16 keeps them. Writes kHistory and kBest into
/// `work`, and tells `log` of every epoch and of kBest. Errors: RunLoop's; UNAVAILABLE naming a
/// file.
absl::Status LearnGates(const v1::Recipe& recipe, GatesImpl& gates, const GateSide& train,
                        const GateSide& validation, const std::filesystem::path& work, RunLog& log);

}  // namespace orchard::training
