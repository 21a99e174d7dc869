#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn.h>

#include "orchard/training/v1/recipe.pb.h"
#include "training/training.h"

namespace orchard::training {

/// The model to be compared with: one flat linear head over the classes of all domains, on the
/// pooled features of the same encoder. Trained on cached features with the recipe's sampling and
/// label smoothing (AdamW, half a cosine from 2e-3, kEncoderOnlyEpochs), starting from zero.
torch::nn::Linear TrainEncoderOnly(const torch::Tensor& pooled, const std::vector<Label>& labels,
                                   const std::vector<DomainClasses>& domains,
                                   const v1::Recipe& recipe);

inline constexpr size_t kEncoderOnlyEpochs = 15;

}  // namespace orchard::training
