#pragma once

#include <cstddef>
#include <span>
#include <vector>

/// \file
/// Figures with their uncertainty. Pure functions in float64. Source: models.md sections 1.1,
/// 5, 7.5 and the numeric checks 20 to 22 of section 10.

namespace orchard::training {

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// Wilson's 95 % interval of a proportion; [0, 1] without a trial.
Interval Wilson(size_t hits, size_t total);

/// Two answers to the same pictures: how often only the first, only the second was right.
struct Paired {
  size_t only_first = 0;
  size_t only_second = 0;
  size_t total = 0;

  /// Accuracy of the first minus accuracy of the second.
  double Difference() const;
  /// Its 95 % interval: Newcombe's hybrid score interval for paired proportions
  /// (1998, method 8: without the continuity correction of the correlation that method 10 has).
  /// `first` and `second`: right answers of each.
  Interval DifferenceInterval(size_t first, size_t second) const;
  /// Exact two-sided McNemar test: min(1, 2 · Σ_{k <= min} C(n, k) / 2^n); 1 for n = 0.
  double McNemar() const;
};

/// Holm's adjusted p-values, in the order of `p`: with m tests the k-th smallest is times m - k +
/// 1, at least as large as the one before and at most 1. Those below .05 are significant with an
/// error of the family of at most .05. Source: Holm 1979, Scandinavian Journal of Statistics 6.
std::vector<double> Holm(std::span<const double> p);

/// Expected calibration error over `bins` bins of (nearly) equally many pictures, ordered by
/// confidence. `correct` is 0 or 1, same length.
double EqualMassCalibrationError(std::span<const double> confidence, std::span<const int> correct,
                                 size_t bins);

/// The same over `bins` intervals (lo, hi] of equal width in [0, 1].
double EqualWidthCalibrationError(std::span<const double> confidence, std::span<const int> correct,
                                  size_t bins);

/// Probability that a known picture scores higher than an unknown one; ties count half.
double Auroc(std::span<const double> known, std::span<const double> unknown);

/// The largest threshold that at least `share` of `known` reach (score >= threshold).
double ThresholdAtShare(std::span<const double> known, double share);

/// Share of `unknown` that is accepted where 95 % of `known` are.
double FalsePositiveRateAt95(std::span<const double> known, std::span<const double> unknown);

/// The x in [low, high] with the least value(x), for one minimum; to `tolerance`.
template <typename Value>
double GoldenSection(double low, double high, double tolerance, const Value& value) {
  constexpr double kGolden = 0.6180339887498949;
  double left = high - kGolden * (high - low);
  double right = low + kGolden * (high - low);
  double at_left = value(left);
  double at_right = value(right);
  while (high - low > tolerance) {
    if (at_left <= at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - kGolden * (high - low);
      at_left = value(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + kGolden * (high - low);
      at_right = value(right);
    }
  }
  return (low + high) / 2;
}

}  // namespace orchard::training
