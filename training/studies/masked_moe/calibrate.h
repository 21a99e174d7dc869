#pragma once

#include <vector>

#include "training/studies/masked_moe/masked_moe.h"

namespace orchard::training {

/// The temperature that minimises the mean of -log softmax(logits / T)[target] plus a weak prior on
/// T = 1 that only matters where the pictures don't say (without an error among few pictures the
/// likelihood alone would drive T to 0). Golden section on log T in [log .05, log 20].
///
/// `logits` [N, C], `target` [N]. `prior` is the weight of (log T)², in pictures; 0: none. Without
/// a picture: 1. Source: models.md section 5.4.
double FitTemperature(const torch::Tensor& logits, const std::vector<size_t>& target, double prior);

/// One temperature a level: Gate1 by all pictures, Gate2 of a branch by the branch's, an expert by
/// its domain's. Never of the joint, so that no joint exceeds its domain's probability.
Temperatures Calibrate(const MaskedMoeImpl& network, const Logits& logits,
                       const std::vector<Label>& labels);

/// The thresholds of both abstention tests together.
struct Thresholds {
  double unknown = 0.0;     ///< a picture passes when its unknown score is at least this
  double confidence = 0.0;  ///< and its best concept's probability at least this
};

/// Both tests refuse the same share of known pictures each, the largest with which at least
/// `accepted` of them pass both. Two scores a picture, of known pictures alone: an unknown picture
/// never tunes what finds it.
Thresholds FitThresholds(const std::vector<double>& unknown_score,
                         const std::vector<double>& confidence, double accepted);

}  // namespace orchard::training
