#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moe/specialisation.h"
#include "moe/verdict.h"
#include "training/studies/vit_moe/answers.h"

namespace orchard::training {

/// What is known of one layer that routes, and what may be said of it (models.md section 4.3).
struct LayerHealth {
  moe::LayerMeasures measures;
  double median_distance = 0.0;  ///< of pairs of experts on the same tokens; -1: not measured
  moe::ShuffleTest shuffle;
  double class_information = 0.0;  ///< normalised, corrected
  double class_p = 1.0;
  moe::Judgement judgement;
};

struct RouterHealthOptions {
  size_t permutations = 1000;      ///< of labels, for the significance of class information
  int64_t distance_pictures = 64;  ///< whose tokens all experts run on, for their distances
  std::uint64_t seed = 0;
};

/// Judges every layer of `network` that routes by what `answers`, its answers to `pixels`, hold;
/// and by two things that are done to it here: all experts run on the tokens of some pictures, and,
/// a layer at a time, each token gets the experts that another one chose (loads stay) and all
/// pictures are asked again. `labels` [N], of `classes` classes. N at least 1.
std::vector<LayerHealth> JudgeRouters(nets::Vit& network, const Standardise& standardise,
                                      const torch::Tensor& pixels, std::span<const size_t> labels,
                                      size_t classes, const VitAnswers& answers,
                                      const RouterHealthOptions& options);

/// A line a layer, and the summary of all.
std::string ToText(const std::vector<LayerHealth>& layers);

}  // namespace orchard::training
