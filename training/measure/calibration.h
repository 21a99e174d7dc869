#pragma once

#include <cstddef>
#include <vector>

#include <torch/types.h>

#include "training/loop/gates.h"
#include "training/training.h"

/// \file
/// What is fitted on validation pictures when a network is finished. Source: models.md section 5.4.

namespace orchard::training {

/// The share of known validation pictures that pass both abstention tests.
inline constexpr double kKnownAccepted = 0.95;

/// Pictures that say T = 1 with a spread of about a factor of 1.6.
inline constexpr double kTemperaturePrior = 2.0;

/// The temperature that minimises the mean of -log softmax(logits / T)[target] plus a weak prior on
/// T = 1 that only matters where the pictures don't say (without an error among few pictures the
/// likelihood alone would drive T to 0). Golden section on log T in [log .05, log 20].
///
/// `logits` [N, C], `target` [N]. `prior` is the weight of (log T)², in pictures; 0: none. Without
/// a picture: 1.
double FitTemperature(const torch::Tensor& logits, const std::vector<size_t>& target, double prior);

/// Some rows of a level's logits with their targets.
class TemperatureRows {
 public:
  void Add(size_t row, size_t target) {
    rows_.push_back(static_cast<int64_t>(row));
    target_.push_back(target);
  }

  /// FitTemperature of these rows with kTemperaturePrior; 1 without rows, or where `logits` is
  /// undefined: nothing is chosen there.
  double Fit(const torch::Tensor& logits) const;

 private:
  std::vector<int64_t> rows_;
  std::vector<size_t> target_;
};

/// Gate1 by all pictures, Gate2 of a branch by the branch's. `labels` [N], of the logits' rows.
GateTemperatures FitGateTemperatures(const Tree& tree, const GateLogits& logits,
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
