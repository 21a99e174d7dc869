#include "moe/specialisation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "moe/health.h"

namespace orchard::moe {
namespace {

double Sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// -Σ p ln p of values of any scale; 0 without any.
double Entropy(std::span<const double> values) {
  const double total = Sum(values);
  double entropy = 0.0;
  for (const double value : values) {
    if (value > 0.0) entropy -= value / total * std::log(value / total);
  }
  return entropy;
}

double Gini(std::span<const double> values) {
  const double total = Sum(values);
  double apart = 0.0;
  for (const double a : values) {
    for (const double b : values) apart += std::abs(a - b);
  }
  return total > 0.0 ? apart / (2.0 * static_cast<double>(values.size()) * total) : 0.0;
}

std::vector<std::vector<double>> TableOf(std::span<const size_t> labels, size_t classes,
                                         const std::vector<std::vector<double>>& picks) {
  const size_t experts = picks.empty() ? 0 : picks.front().size();
  std::vector<std::vector<double>> table(classes, std::vector<double>(experts, 0.0));
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t e = 0; e < experts; ++e) table[labels[i]][e] += picks[i][e];
  }
  return table;
}

}  // namespace

LayerMeasures Measure(const LayerSums& sums) {
  const auto experts = static_cast<double>(sums.picks.size());
  const double total = Sum(sums.picks);
  LayerMeasures measures;
  measures.effective_experts = experts;
  measures.token_entropy = 1.0;
  if (!(total > 0.0) || !(sums.tokens > 0.0) || experts < 2.0) return measures;
  const RoutingHealth health = Health(sums.picks, sums.probability);
  measures.effective_experts = std::exp(Entropy(sums.picks));
  measures.max_over_mean = health.max_over_mean;
  measures.cv_squared = health.cv_squared;
  measures.cv_squared_unbiased = health.cv_squared * experts / (experts - 1.0);
  measures.gini = Gini(sums.picks);
  measures.normalised_entropy = health.normalised_entropy;
  measures.balance = health.balance_loss;
  const double mean_entropy = sums.entropy / sums.tokens;
  measures.token_entropy = mean_entropy / std::log(experts);
  measures.gate_information =
      std::max(0.0, (Entropy(sums.probability) - mean_entropy) / std::log(experts));
  measures.dead = static_cast<size_t>(std::ranges::count_if(
      sums.picks, [&](double picks) { return picks / total < 0.1 / experts; }));
  return measures;
}

MutualInformation InformationOf(const std::vector<std::vector<double>>& counts,
                                double independent) {
  std::vector<double> rows, columns(counts.empty() ? 0 : counts.front().size(), 0.0), cells;
  for (const auto& row : counts) {
    rows.push_back(Sum(row));
    cells.insert(cells.end(), row.begin(), row.end());
    for (size_t column = 0; column < row.size(); ++column) columns[column] += row[column];
  }
  MutualInformation result;
  result.column_entropy = Entropy(columns);
  result.nats = std::max(0.0, Entropy(rows) + result.column_entropy - Entropy(cells));
  const auto used = [](const std::vector<double>& sums) {
    return static_cast<double>(std::ranges::count_if(sums, [](double sum) { return sum > 0.0; }));
  };
  const double freedom = std::max(0.0, used(rows) - 1.0) * std::max(0.0, used(columns) - 1.0);
  const double bias = independent > 0.0 ? freedom / (2.0 * independent) : 0.0;
  result.corrected = std::max(0.0, result.nats - bias);
  if (result.column_entropy > 0.0) result.normalised = result.corrected / result.column_entropy;
  return result;
}

ClassInformation ClassAndExpert(std::span<const size_t> labels, size_t classes,
                                const std::vector<std::vector<double>>& picks, size_t permutations,
                                std::uint64_t seed) {
  const auto pictures = static_cast<double>(labels.size());
  ClassInformation result;
  result.information = InformationOf(TableOf(labels, classes, picks), pictures);
  std::vector<size_t> shuffled(labels.begin(), labels.end());
  std::mt19937_64 random(seed);
  size_t as_much = 0;
  for (size_t round = 0; round < permutations; ++round) {
    for (size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[random() % i]);
    const double nats = InformationOf(TableOf(shuffled, classes, picks), pictures).nats;
    as_much += nats >= result.information.nats ? 1 : 0;
  }
  result.p_value = static_cast<double>(1 + as_much) / static_cast<double>(1 + permutations);
  return result;
}

}  // namespace orchard::moe
