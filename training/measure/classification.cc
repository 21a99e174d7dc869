#include "training/measure/classification.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/printable.h"

namespace orchard::training {
namespace {

constexpr size_t kBins = 15;
constexpr size_t kListed = 8;  ///< weakest classes and commonest confusions in the text

}  // namespace

size_t BestClass(std::span<const float> row) {
  return static_cast<size_t>(std::ranges::max_element(row) - row.begin());
}

Classification Classify(std::span<const float> log_probabilities, std::span<const size_t> labels,
                        size_t classes) {
  Classification figures{
      .by_class = std::vector<Hits>(classes),
      .confusion = std::vector<std::vector<size_t>>(classes, std::vector<size_t>(classes))};
  std::vector<double> confidence;
  std::vector<int> correct;
  double nll = 0.0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = log_probabilities.subspan(i * classes, classes);
    const size_t answer = BestClass(row);
    const bool hit = answer == labels[i];
    figures.accuracy.Count(hit);
    figures.by_class[labels[i]].Count(hit);
    ++figures.confusion[labels[i]][answer];
    nll -= static_cast<double>(row[labels[i]]);
    confidence.push_back(std::exp(static_cast<double>(row[answer])));
    correct.push_back(hit ? 1 : 0);
  }
  figures.interval = Wilson(figures.accuracy.hits, figures.accuracy.total);
  if (labels.empty()) return figures;
  figures.nll = nll / static_cast<double>(labels.size());
  figures.calibration_error = EqualMassCalibrationError(confidence, correct, kBins);
  return figures;
}

std::string ToText(const Classification& figures, const std::vector<std::string>& classes) {
  std::string text = absl::StrFormat(
      "accuracy %.4f [%.4f, %.4f] (%d of %d), nll %.4f, calibration error %.4f\n",
      figures.accuracy.Share(), figures.interval.low, figures.interval.high, figures.accuracy.hits,
      figures.accuracy.total, figures.nll, figures.calibration_error);
  std::vector<size_t> order(classes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t c) { return figures.by_class[c].total == 0; });
  std::ranges::stable_sort(order, {}, [&](size_t c) { return figures.by_class[c].Share(); });
  if (order.size() > kListed) order.resize(kListed);
  for (const size_t c : order) {
    const Hits& hits = figures.by_class[c];
    absl::StrAppendFormat(&text, "  %-32s %.4f (%d of %d)\n", core::Printable(classes[c]),
                          hits.Share(), hits.hits, hits.total);
  }
  struct Pair {
    size_t label, answer, count;
  };
  std::vector<Pair> pairs;
  for (size_t label = 0; label < classes.size(); ++label) {
    for (size_t answer = 0; answer < classes.size(); ++answer) {
      const size_t count = figures.confusion[label][answer];
      if (label != answer && count > 0) pairs.push_back({label, answer, count});
    }
  }
  std::ranges::stable_sort(pairs, std::greater<>(), &Pair::count);
  if (pairs.size() > kListed) pairs.resize(kListed);
  for (const Pair& pair : pairs) {
    absl::StrAppendFormat(&text, "  %s taken for %s: %d\n", core::Printable(classes[pair.label]),
                          core::Printable(classes[pair.answer]), pair.count);
  }
  return text;
}

}  // namespace orchard::training
