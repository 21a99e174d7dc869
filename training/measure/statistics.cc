#include "training/measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace orchard::training {
namespace {

constexpr double kZ = 1.959963984540054;  // of 95 %, two-sided

/// Σ |mean confidence - accuracy| · share over bins given as ranges of `order`.
struct Bin {
  double confidence = 0.0;
  double correct = 0.0;
  double count = 0.0;

  double Gap() const { return std::abs(confidence - correct); }  // Times count.
};

double Total(const std::vector<Bin>& bins, size_t pictures) {
  double gap = 0.0;
  for (const Bin& bin : bins) gap += bin.Gap();
  return pictures == 0 ? 0.0 : gap / static_cast<double>(pictures);
}

void Add(Bin& bin, double confidence, int correct) {
  bin.confidence += confidence;
  bin.correct += correct;
  bin.count += 1.0;
}

}  // namespace

Interval Wilson(size_t hits, size_t total) {
  if (total == 0) return {.low = 0.0, .high = 1.0};
  const auto n = static_cast<double>(total);
  const double p = static_cast<double>(hits) / n;
  const double scale = 1.0 + kZ * kZ / n;
  const double centre = (p + kZ * kZ / (2.0 * n)) / scale;
  const double half = kZ * std::sqrt(p * (1.0 - p) / n + kZ * kZ / (4.0 * n * n)) / scale;
  return {.low = hits == 0 ? 0.0 : centre - half, .high = hits == total ? 1.0 : centre + half};
}

double Paired::Difference() const {
  if (total == 0) return 0.0;
  return (static_cast<double>(only_first) - static_cast<double>(only_second)) /
         static_cast<double>(total);
}

Interval Paired::DifferenceInterval(size_t first, size_t second) const {
  if (total == 0) return {.low = -1.0, .high = 1.0};
  const auto n = static_cast<double>(total);
  const double p1 = static_cast<double>(first) / n;
  const double p2 = static_cast<double>(second) / n;
  const Interval w1 = Wilson(first, total);
  const Interval w2 = Wilson(second, total);
  // The correlation of the two answers, from the four cells of the table (both, only, only, none).
  const double b = static_cast<double>(only_first);
  const double c = static_cast<double>(only_second);
  const double a = static_cast<double>(first) - b;
  const double d = n - a - b - c;
  const double margins = (a + b) * (c + d) * (a + c) * (b + d);
  const double phi = margins > 0.0 ? (a * d - b * c) / std::sqrt(margins) : 0.0;
  const auto half = [&](double x, double y) {
    return std::sqrt(std::max(0.0, x * x - 2.0 * phi * x * y + y * y));
  };
  const double difference = p1 - p2;
  return {.low = difference - half(p1 - w1.low, w2.high - p2),
          .high = difference + half(w1.high - p1, p2 - w2.low)};
}

double Paired::McNemar() const {
  const size_t n = only_first + only_second;
  if (n == 0) return 1.0;
  const size_t least = std::min(only_first, only_second);
  double sum = 0.0;
  double log_choose = 0.0;  // log C(n, k)
  for (size_t k = 0; k <= least; ++k) {
    if (k > 0) {
      log_choose += std::log(static_cast<double>(n - k + 1)) - std::log(static_cast<double>(k));
    }
    sum += std::exp(log_choose - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2.0 * sum);
}

std::vector<double> Holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return p[i]; });
  std::vector<double> adjusted(p.size());
  double before = 0.0;
  for (size_t k = 0; k < order.size(); ++k) {
    const double times = static_cast<double>(order.size() - k);
    before = std::max(before, std::min(1.0, times * p[order[k]]));
    adjusted[order[k]] = before;
  }
  return adjusted;
}

double EqualMassCalibrationError(std::span<const double> confidence, std::span<const int> correct,
                                 size_t bins) {
  std::vector<size_t> order(confidence.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return confidence[i]; });
  std::vector<Bin> sums(bins);
  for (size_t i = 0; i < order.size(); ++i) {
    Add(sums[i * bins / order.size()], confidence[order[i]], correct[order[i]]);
  }
  return Total(sums, order.size());
}

double EqualWidthCalibrationError(std::span<const double> confidence, std::span<const int> correct,
                                  size_t bins) {
  std::vector<Bin> sums(bins);
  for (size_t i = 0; i < confidence.size(); ++i) {
    const double place = std::ceil(confidence[i] * static_cast<double>(bins)) - 1.0;
    const double last = static_cast<double>(bins) - 1.0;
    Add(sums[static_cast<size_t>(std::clamp(place, 0.0, last))], confidence[i], correct[i]);
  }
  return Total(sums, confidence.size());
}

double Auroc(std::span<const double> known, std::span<const double> unknown) {
  if (known.empty() || unknown.empty()) return 0.5;
  std::vector<double> sorted(unknown.begin(), unknown.end());
  std::ranges::sort(sorted);
  double wins = 0.0;
  for (const double score : known) {
    const auto [low, high] = std::ranges::equal_range(sorted, score);
    wins += static_cast<double>(low - sorted.begin()) + 0.5 * static_cast<double>(high - low);
  }
  return wins / (static_cast<double>(known.size()) * static_cast<double>(unknown.size()));
}

double ThresholdAtShare(std::span<const double> known, double share) {
  if (known.empty()) return 0.0;
  std::vector<double> sorted(known.begin(), known.end());
  std::ranges::sort(sorted);
  const auto n = static_cast<double>(sorted.size());
  const auto below = static_cast<size_t>(std::floor((1.0 - share) * n + 1e-9));
  return sorted[std::min(below, sorted.size() - 1)];
}

double FalsePositiveRateAt95(std::span<const double> known, std::span<const double> unknown) {
  if (unknown.empty()) return 0.0;
  const double threshold = ThresholdAtShare(known, 0.95);
  const auto accepted = std::ranges::count_if(unknown, [&](double s) { return s >= threshold; });
  return static_cast<double>(accepted) / static_cast<double>(unknown.size());
}

}  // namespace orchard::training
