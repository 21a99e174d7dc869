#include "training/studies/masked_moe/metrics.h"

#include <algorithm>

#include "absl/strings/str_format.h"

#include "training/data/dataset.h"

namespace orchard::training {
namespace {

std::vector<size_t> ArgMax(const torch::Tensor& rows) {
  const torch::Tensor best = rows.argmax(1).contiguous();
  const auto* data = best.data_ptr<int64_t>();
  return {data, data + best.numel()};
}

}  // namespace

double Accuracy::Mean() const { return MeanShare(routed); }
double Accuracy::MeanByConcept() const { return MeanShare(by_concept); }

Accuracy Measure(const MaskedMoeImpl& network, const Logits& logits,
                 const std::vector<Label>& labels, const Temperatures& temperatures,
                 const std::vector<size_t>& concept_of) {
  const torch::NoGradGuard guard;
  const LogProbabilities log = Combine(network, logits, temperatures);
  const std::vector<size_t> branch = ArgMax(log.branch);
  const std::vector<size_t> domain = ArgMax(log.domain);
  const std::vector<size_t> flat = ArgMax(log.joint);
  const std::vector<size_t> named = ArgMax(SumByConcept(log.joint, concept_of));
  std::vector<std::vector<size_t>> expert;
  for (const torch::Tensor& classes : logits.classes) expert.push_back(ArgMax(classes));
  const size_t domains = network.domains().size();
  Accuracy accuracy{.branch = {},
                    .domain = {},
                    .oracle = std::vector<Hits>(domains),
                    .routed = std::vector<Hits>(domains),
                    .by_concept = std::vector<Hits>(domains)};
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto& [g, label] = labels[i];
    const size_t truth = FlatIndex(network.domains(), labels[i]);
    accuracy.branch.Count(branch[i] == network.branch_of(g));
    accuracy.domain.Count(domain[i] == g);
    accuracy.oracle[g].Count(expert[g][i] == label);
    accuracy.routed[g].Count(flat[i] == truth);
    accuracy.by_concept[g].Count(named[i] == concept_of[truth]);
  }
  return accuracy;
}

std::vector<std::pair<std::string, double>> Measures(const Accuracy& accuracy,
                                                     const std::vector<DomainClasses>& domains) {
  std::vector<std::pair<std::string, double>> measures = {
      {"gate1", accuracy.branch.Share()},
      {"domain", accuracy.domain.Share()},
      {"mean", accuracy.Mean()},
      {"mean_by_concept", accuracy.MeanByConcept()},
      {"mean_oracle", MeanShare(accuracy.oracle)}};
  for (size_t g = 0; g < domains.size(); ++g) {
    measures.emplace_back("routed/" + domains[g].name, accuracy.routed[g].Share());
  }
  return measures;
}

std::string ToText(const Accuracy& accuracy, const std::vector<DomainClasses>& domains) {
  std::string text =
      absl::StrFormat("gate1 %.4f  domain %.4f  mean %.4f  mean by concept %.4f  (%d pictures)\n ",
                      accuracy.branch.Share(), accuracy.domain.Share(), accuracy.Mean(),
                      accuracy.MeanByConcept(), accuracy.branch.total);
  for (size_t g = 0; g < domains.size(); ++g) {
    absl::StrAppendFormat(&text, " %s %.3f", domains[g].name, accuracy.routed[g].Share());
  }
  return text;
}

}  // namespace orchard::training
