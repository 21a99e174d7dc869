#include "training/measure/calibration.h"

#include <cmath>

#include <torch/torch.h>

#include "training/measure/statistics.h"

namespace orchard::training {
namespace {

constexpr double kLeastTemperature = 0.05;
constexpr double kLargestTemperature = 20.0;
constexpr double kTolerance = 1e-4;  ///< of log T

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

double TemperatureRows::Fit(const torch::Tensor& logits) const {
  if (!logits.defined() || rows_.empty()) return 1.0;
  return FitTemperature(logits.index_select(0, torch::tensor(rows_, torch::kLong)), target_,
                        kTemperaturePrior);
}

GateTemperatures FitGateTemperatures(const Tree& tree, const GateLogits& logits,
                                     const std::vector<Label>& labels) {
  TemperatureRows of_branch;
  std::vector<TemperatureRows> of_domain(tree.branches.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t g = labels[i].domain;
    of_branch.Add(i, tree.branch_of[g]);
    of_domain[tree.branch_of[g]].Add(i, tree.index_within[g]);
  }
  GateTemperatures temperatures{.branch = of_branch.Fit(logits.branch), .domain = {}};
  for (size_t b = 0; b < tree.branches.size(); ++b) {
    temperatures.domain.push_back(of_domain[b].Fit(logits.domain[b]));
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
