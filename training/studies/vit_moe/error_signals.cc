#include "training/studies/vit_moe/error_signals.h"

#include <cmath>
#include <numeric>

#include "training/measure/classification.h"
#include "training/measure/statistics.h"

namespace orchard::training {
namespace {

/// That a figure which is high where answers are wrong is higher for an error than for a hit.
std::optional<double> FindsErrors(const std::vector<bool>& right,
                                  const std::vector<double>& doubt) {
  std::vector<double> of_errors, of_hits;
  for (size_t i = 0; i < right.size(); ++i) (right[i] ? of_hits : of_errors).push_back(doubt[i]);
  if (of_errors.empty() || of_hits.empty()) return std::nullopt;
  return Auroc(of_errors, of_hits);
}

}  // namespace

void JudgedAnswers::Add(const VitAnswers& answers, std::span<const size_t> labels) {
  const auto width = static_cast<size_t>(answers.log_probabilities.size(1));
  const std::span<const float> all(answers.log_probabilities.data_ptr<float>(),
                                   static_cast<size_t>(answers.log_probabilities.numel()));
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = all.subspan(i * width, width);
    answer.push_back(BestClass(row));
    right.push_back(answer.back() == labels[i]);
    confidence.push_back(std::exp(static_cast<double>(row[answer.back()])));
  }
  if (!answers.uncertainty.defined()) return;
  const auto* values = answers.uncertainty.data_ptr<double>();
  uncertainty.insert(uncertainty.end(), values, values + labels.size());
}

ErrorSignals SignalsOf(const JudgedAnswers& answers) {
  std::vector<double> doubt = answers.confidence;
  for (double& value : doubt) value = 1.0 - value;
  ErrorSignals signals{.confidence = FindsErrors(answers.right, doubt),
                       .uncertainty = std::nullopt,
                       .mean_uncertainty = std::nullopt};
  if (answers.uncertainty.empty()) return signals;
  signals.uncertainty = FindsErrors(answers.right, answers.uncertainty);
  signals.mean_uncertainty =
      std::accumulate(answers.uncertainty.begin(), answers.uncertainty.end(), 0.0) /
      static_cast<double>(answers.uncertainty.size());
  return signals;
}

}  // namespace orchard::training
