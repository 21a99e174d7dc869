#include "training/studies/masked_moe/calibrate.h"

#include <algorithm>
#include <cmath>

#include "training/measure/statistics.h"

namespace orchard::training {
namespace {

constexpr double kLeastTemperature = 0.05;
constexpr double kLargestTemperature = 20.0;
constexpr double kTolerance = 1e-4;  ///< of log T

/// Pictures that say T = 1 with a spread of about a factor of 1.6.
constexpr double kPrior = 2.0;

/// Rows of a level's logits with their targets.
struct Rows {
  std::vector<int64_t> rows;
  std::vector<size_t> target;

  void Add(size_t row, size_t wanted) {
    rows.push_back(static_cast<int64_t>(row));
    target.push_back(wanted);
  }

  double Fit(const torch::Tensor& logits) const {
    if (!logits.defined() || rows.empty()) return 1.0;
    return FitTemperature(logits.index_select(0, torch::tensor(rows, torch::kLong)), target,
                          kPrior);
  }
};

}  // namespace

double FitTemperature(const torch::Tensor& logits, const std::vector<size_t>& target,
                      double prior) {
  if (target.empty()) return 1.0;
  const torch::NoGradGuard guard;
  const std::vector<int64_t> index(target.begin(), target.end());
  const torch::Tensor exact = logits.to(torch::kFloat64);
  const torch::Tensor column = torch::tensor(index, torch::kLong).unsqueeze(1);
  const auto loss = [&](double log_temperature) {
    const torch::Tensor log = (exact / std::exp(log_temperature)).log_softmax(1);
    return -log.gather(1, column).sum().item<double>() + prior * log_temperature * log_temperature;
  };
  return std::exp(
      GoldenSection(std::log(kLeastTemperature), std::log(kLargestTemperature), kTolerance, loss));
}

Temperatures Calibrate(const MaskedMoeImpl& network, const Logits& logits,
                       const std::vector<Label>& labels) {
  const size_t branches = network.branches().size();
  const size_t domains = network.domains().size();
  Rows of_branch;
  std::vector<Rows> of_domain(branches), of_classes(domains);
  std::vector<size_t> within(domains, 0), seen(branches, 0);
  for (size_t g = 0; g < domains; ++g) within[g] = seen[network.branch_of(g)]++;
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t g = labels[i].domain;
    of_branch.Add(i, network.branch_of(g));
    of_domain[network.branch_of(g)].Add(i, within[g]);
    of_classes[g].Add(i, labels[i].label);
  }
  Temperatures temperatures{.branch = of_branch.Fit(logits.branch), .domain = {}, .classes = {}};
  for (size_t b = 0; b < branches; ++b) {
    temperatures.domain.push_back(of_domain[b].Fit(logits.domain[b]));
  }
  for (size_t g = 0; g < domains; ++g) {
    temperatures.classes.push_back(of_classes[g].Fit(logits.classes[g]));
  }
  return temperatures;
}

Thresholds FitThresholds(const std::vector<double>& unknown_score,
                         const std::vector<double>& confidence, double accepted) {
  const size_t count = unknown_score.size();
  Thresholds best{.unknown = ThresholdAtShare(unknown_score, 1.0),
                  .confidence = ThresholdAtShare(confidence, 1.0)};
  for (size_t refused = 1; refused < count; ++refused) {
    const double share = 1.0 - static_cast<double>(refused) / static_cast<double>(count);
    const Thresholds next{.unknown = ThresholdAtShare(unknown_score, share),
                          .confidence = ThresholdAtShare(confidence, share)};
    size_t passed = 0;
    for (size_t i = 0; i < count; ++i) {
      passed += unknown_score[i] >= next.unknown && confidence[i] >= next.confidence ? 1 : 0;
    }
    if (static_cast<double>(passed) < accepted * static_cast<double>(count)) break;
    best = next;
  }
  return best;
}

}  // namespace orchard::training
