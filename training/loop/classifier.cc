#include "training/loop/classifier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace orchard::training {
namespace {

/// [N, C] with a 1 where each label says.
absl::StatusOr<torch::Tensor> OneHot(const Batch& batch, const torch::Tensor& logits) {
  std::vector<int64_t> rows;
  for (const Label& label : batch.labels) {
    if (static_cast<int64_t>(label.label) >= logits.size(1)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a label is ", label.label, ", the network has ", logits.size(1), " classes"));
    }
    rows.push_back(static_cast<int64_t>(label.label));
  }
  if (rows.size() != static_cast<size_t>(logits.size(0))) {
    return absl::InvalidArgumentError(
        absl::StrCat(rows.size(), " labels for ", logits.size(0), " pictures"));
  }
  const torch::Tensor index =
      torch::tensor(rows, torch::kLong).to(logits.device()).unsqueeze(1);  // [N, 1]
  return torch::zeros_like(logits).scatter_(1, index, 1.0);
}

}  // namespace

torch::Tensor SoftCrossEntropy(const torch::Tensor& logits, const torch::Tensor& targets,
                               const torch::Tensor& weights) {
  const torch::Tensor rows = -(targets * logits.log_softmax(1)).sum(1);  // [N]
  return weights.defined() ? (rows * weights).sum() / weights.sum() : rows.mean();
}

Classifier::Classifier(torch::nn::Module& module, Forward forward, Options options)
    : module_(module), forward_(std::move(forward)), options_(std::move(options)) {}

absl::StatusOr<LossTerms> Classifier::Loss(const Batch& batch) {
  const torch::Tensor input =
      batch.pixels.defined() || batch.features.empty() ? batch.pixels : batch.features[0];
  if (!input.defined()) return absl::InvalidArgumentError("a batch without pictures");
  const torch::Tensor logits = forward_(input).to(torch::kFloat32);
  torch::Tensor targets = batch.targets;
  if (!targets.defined()) {
    const auto hard = OneHot(batch, logits.detach());
    if (!hard.ok()) return hard.status();
    targets = *hard;
  }
  if (options_.label_smoothing > 0.0) {
    targets = nets::SmoothTargets(targets, options_.label_smoothing, options_.smoothing);
  }
  LossTerms terms;
  terms.Add("cross_entropy", 1.0, SoftCrossEntropy(logits, targets, batch.weights));
  if (options_.auxiliary) {
    for (nets::LossTerm& term : options_.auxiliary()) {
      terms.Add(std::move(term.name), term.weight, std::move(term.value));
    }
  }
  return terms;
}

std::vector<TrainedParameter> Classifier::Parameters() {
  std::vector<TrainedParameter> parameters = TrainedParameters(
      module_, [this](const std::string&, const torch::Tensor&) { return options_.rate; });
  for (TrainedParameter& parameter : parameters) {
    const bool undecayed = std::ranges::any_of(options_.undecayed, [&](const std::string& begin) {
      return parameter.name.starts_with(begin);
    });
    if (options_.decays_all) parameter.decays = true;
    if (undecayed) parameter.decays = false;
  }
  return parameters;
}

}  // namespace orchard::training
