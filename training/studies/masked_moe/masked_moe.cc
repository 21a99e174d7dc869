#include "training/studies/masked_moe/masked_moe.h"

#include <algorithm>
#include <limits>

#include "core/status.h"
#include "nets/conv_bn.h"
#include "training/studies/masked_moe/statements.h"

namespace orchard::training {
namespace {

/// Sum of what is defined; undefined when nothing is.
void Accumulate(torch::Tensor& sum, const torch::Tensor& term) {
  sum = sum.defined() ? sum + term : term;
}

}  // namespace

absl::StatusOr<std::shared_ptr<MaskedMoeImpl>> MaskedMoeImpl::Make(
    const v1::Recipe& recipe, const std::vector<DomainClasses>& domains) {
  std::shared_ptr<MaskedMoeImpl> network(new MaskedMoeImpl(domains));
  ORCHARD_RETURN_IF_ERROR(network->AddHeads(recipe));
  return network;
}

MaskedMoeImpl::MaskedMoeImpl(const std::vector<DomainClasses>& domains)
    : encoder(register_module("encoder", nets::MobileNetV2())), domains_(domains) {}

absl::Status MaskedMoeImpl::AddHeads(const v1::Recipe& recipe) {
  const double dropout = recipe.masked_moe().head_dropout();
  ORCHARD_ASSIGN_OR_RETURN(gates, GatesImpl::Make(GateOf(recipe), TreeOf(domains_), dropout));
  register_module("gates", gates);
  experts = register_module("experts", std::make_shared<torch::nn::Module>());
  for (size_t g = 0; g < domains_.size(); ++g) {
    const v1::Domain& domain = recipe.domains(static_cast<int>(g));
    const auto classes = static_cast<int64_t>(domains_[g].classes.size());
    const auto entry = nets::FindHead(domain.expert(), classes);
    if (!entry.ok()) return core::Annotate(entry.status(), "domain " + domain.name());
    reads_map_.push_back((*entry)->feature_kind == core::FeatureKind::kMap);
    ORCHARD_ASSIGN_OR_RETURN(
        nets::Head head, nets::MakeHead(domain.expert(), {.classes = classes, .dropout = dropout}));
    expert_.push_back(std::move(head));
    experts->register_module(domains_[g].name, expert_.back());
  }
  return absl::OkStatus();
}

void MaskedMoeImpl::StartFrom(const nets::MobileNetV2Impl& pretrained) {
  const torch::NoGradGuard guard;
  const auto copy = [](auto to, const auto& from) {
    for (auto& item : to) item.value().copy_(from[item.key()]);
  };
  copy(encoder->named_parameters(), pretrained.named_parameters());
  copy(encoder->named_buffers(), pretrained.named_buffers());
  for (const nets::Head& head : expert_) head->InitialiseFrom(*encoder->features->ptr(18));
}

torch::Tensor MaskedMoeImpl::ExpertLogits(size_t domain, const nets::EncoderFeatures& features,
                                          const torch::Tensor& rows) {
  nets::HeadModule& head = *expert_[domain];
  if (!reads_map_[domain]) return head.forward(features.pooled.index_select(0, rows));
  if (!tails_as_linear_) return head.forward(features.map.index_select(0, rows));
  const auto layers = head.named_children();
  const torch::Tensor kept = layers["dropout"]->as<torch::nn::DropoutImpl>()->forward(
      features.pooled.index_select(0, rows));  // [M, 1280]
  return layers["classify"]
      ->as<torch::nn::Conv2dImpl>()
      ->forward(nets::AsPixels(kept))
      .flatten(1);  // [M, C]
}

torch::Tensor MaskedMoeImpl::ExpertLoss(const nets::EncoderFeatures& features,
                                        const std::vector<Label>& labels, double smoothing) {
  torch::Tensor sum;
  for (size_t g = 0; g < domains_.size(); ++g) {
    std::vector<int64_t> rows, target;
    for (size_t i = 0; i < labels.size(); ++i) {
      if (labels[i].domain != g) continue;
      rows.push_back(static_cast<int64_t>(i));
      target.push_back(static_cast<int64_t>(labels[i].label));
    }
    if (rows.empty()) continue;
    const torch::Tensor logits = ExpertLogits(g, features, RowIndices(rows, features.pooled));
    Accumulate(sum, CrossEntropySum(logits, target, smoothing));
  }
  return sum;
}

LossTerms MaskedMoeImpl::Terms(const nets::EncoderFeatures& features,
                               const std::vector<Label>& labels, const v1::Losses& weights) {
  LossTerms terms(static_cast<double>(labels.size()));
  terms.Add("expert", weights.expert(), ExpertLoss(features, labels, weights.label_smoothing()));
  terms.Add("branch", weights.branch(), gates->BranchLoss(features.pooled, labels));
  terms.Add("domain", weights.domain(), gates->DomainLoss(features.pooled, labels));
  return terms;
}

Logits MaskedMoeImpl::Forward(const nets::EncoderFeatures& features) {
  Logits logits{.gates = gates->Forward(features.pooled), .classes = {}};
  for (size_t g = 0; g < expert_.size(); ++g) {
    logits.classes.push_back(expert_[g]->forward(reads_map_[g] ? features.map : features.pooled));
  }
  return logits;
}

void MaskedMoeImpl::TrainWithFrozenStatistics() {
  train();
  for (const auto& module : modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) norm->eval();
  }
}

void MaskedMoeImpl::MeasureStatistics(size_t domain, const torch::Tensor& maps) {
  const torch::NoGradGuard guard;
  eval();
  std::vector<torch::nn::BatchNorm2dImpl*> norms;
  for (const auto& child : expert_[domain]->named_children()) {
    if (child.key() == "project") continue;  // The encoder's own, whose statistics are known.
    for (const auto& module : child.value()->modules()) {
      if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) norms.push_back(norm);
    }
  }
  for (auto* norm : norms) {
    norm->reset_running_stats();
    norm->options.momentum({});  // The plain average over the batches.
    norm->train();
  }
  constexpr int64_t kBatch = 128;
  for (const torch::Tensor& batch : maps.split(kBatch)) {
    if (batch.size(0) > 1) expert_[domain]->forward(batch);
  }
  for (auto* norm : norms) norm->eval();
}

LogProbabilities Combine(const MaskedMoeImpl& network, const Logits& logits,
                         const Temperatures& temperatures) {
  const GateLogProbabilities gates =
      CombineGates(network.gates->tree(), logits.gates, temperatures.gates, logits.classes.front());
  LogProbabilities log{.branch = gates.branch, .domain = gates.domain, .joint = {}};
  std::vector<torch::Tensor> joints;
  for (size_t g = 0; g < network.domains().size(); ++g) {
    const double temperature = temperatures.classes.empty() ? 1.0 : temperatures.classes[g];
    joints.push_back(log.domain.select(1, static_cast<int64_t>(g)).unsqueeze(1) +
                     LogSoftmaxAt(logits.classes[g], temperature));
  }
  log.joint = torch::cat(joints, 1);  // [N, ΣC]
  return log;
}

torch::Tensor MaskedLogSoftmax(const torch::Tensor& logits, const torch::Tensor& mask) {
  const double masked = -std::numeric_limits<double>::infinity();
  return logits.masked_fill(mask == 0, masked).log_softmax(/*dim=*/-1);
}

}  // namespace orchard::training
