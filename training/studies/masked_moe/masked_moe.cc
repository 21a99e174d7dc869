#include "training/studies/masked_moe/masked_moe.h"

#include <algorithm>
#include <limits>

#include "core/status.h"
#include "nets/conv_bn.h"
#include "training/recipe.h"
#include "training/studies/masked_moe/statements.h"

namespace orchard::training {
namespace {

namespace F = torch::nn::functional;

/// Indices into the rows of `of`, on its device.
torch::Tensor Indices(const std::vector<int64_t>& indices, const torch::Tensor& of) {
  return torch::tensor(indices, torch::kLong).to(of.device());
}

/// Sum of the rows' cross-entropies.
torch::Tensor CrossEntropySum(const torch::Tensor& logits, const std::vector<int64_t>& target,
                              double smoothing = 0.0) {
  return F::cross_entropy(
      logits, Indices(target, logits),
      F::CrossEntropyFuncOptions().reduction(torch::kSum).label_smoothing(smoothing));
}

/// Sum of what is defined; undefined when nothing is.
void Accumulate(torch::Tensor& sum, const torch::Tensor& term) {
  sum = sum.defined() ? sum + term : term;
}

torch::Tensor LogSoftmax(const torch::Tensor& logits, double temperature) {
  return (logits / temperature).log_softmax(/*dim=*/1);
}

}  // namespace

absl::StatusOr<std::shared_ptr<MaskedMoeImpl>> MaskedMoeImpl::Make(
    const v1::Recipe& recipe, const std::vector<DomainClasses>& domains) {
  std::shared_ptr<MaskedMoeImpl> network(new MaskedMoeImpl(recipe, domains));
  ORCHARD_RETURN_IF_ERROR(network->AddHeads(recipe));
  return network;
}

MaskedMoeImpl::MaskedMoeImpl(const v1::Recipe& recipe, const std::vector<DomainClasses>& domains)
    : encoder(register_module("encoder", nets::MobileNetV2())),
      gates(register_module("gates", std::make_shared<torch::nn::Module>())),
      experts(register_module("experts", std::make_shared<torch::nn::Module>())),
      domains_(domains),
      branches_(Branches(recipe)),
      branch_size_(branches_.size(), 0) {
  for (const DomainClasses& domain : domains) {
    const auto branch = std::ranges::find(branches_, domain.branch) - branches_.begin();
    branch_of_.push_back(static_cast<size_t>(branch));
    index_within_.push_back(branch_size_[branch_of_.back()]++);
  }
}

absl::Status MaskedMoeImpl::AddHeads(const v1::Recipe& recipe) {
  const double dropout = recipe.masked_moe().head_dropout();
  const auto gate = [&](size_t outputs) {
    return nets::MakeHead(GateOf(recipe),
                          {.classes = static_cast<int64_t>(outputs), .dropout = dropout});
  };
  if (branches_.size() > 1) {
    ORCHARD_ASSIGN_OR_RETURN(branch_gate_, gate(branches_.size()));
    gates->register_module("branch", branch_gate_);
  }
  const auto of_branches = gates->register_module("domain", std::make_shared<torch::nn::Module>());
  for (size_t b = 0; b < branches_.size(); ++b) {
    domain_gate_.emplace_back();
    if (branch_size_[b] < 2) continue;
    ORCHARD_ASSIGN_OR_RETURN(domain_gate_.back(), gate(branch_size_[b]));
    of_branches->register_module(branches_[b], domain_gate_.back());
  }
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

torch::Tensor MaskedMoeImpl::BranchLoss(const torch::Tensor& pooled,
                                        const std::vector<Label>& labels) {
  if (branch_gate_ == nullptr) return {};
  std::vector<int64_t> target;
  for (const Label& label : labels) {
    target.push_back(static_cast<int64_t>(branch_of_[label.domain]));
  }
  return CrossEntropySum(branch_gate_->forward(pooled), target);
}

torch::Tensor MaskedMoeImpl::DomainLoss(const torch::Tensor& pooled,
                                        const std::vector<Label>& labels) {
  torch::Tensor sum;
  for (size_t b = 0; b < branches_.size(); ++b) {
    if (domain_gate_[b] == nullptr) continue;
    std::vector<int64_t> rows, target;
    for (size_t i = 0; i < labels.size(); ++i) {
      if (branch_of_[labels[i].domain] != b) continue;
      rows.push_back(static_cast<int64_t>(i));
      target.push_back(static_cast<int64_t>(index_within_[labels[i].domain]));
    }
    if (rows.empty()) continue;
    Accumulate(
        sum, CrossEntropySum(
                 domain_gate_[b]->forward(pooled.index_select(0, Indices(rows, pooled))), target));
  }
  return sum;
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
    const torch::Tensor logits = ExpertLogits(g, features, Indices(rows, features.pooled));
    Accumulate(sum, CrossEntropySum(logits, target, smoothing));
  }
  return sum;
}

LossTerms MaskedMoeImpl::Terms(const nets::EncoderFeatures& features,
                               const std::vector<Label>& labels, const v1::Losses& weights) {
  LossTerms terms(static_cast<double>(labels.size()));
  terms.Add("expert", weights.expert(), ExpertLoss(features, labels, weights.label_smoothing()));
  terms.Add("branch", weights.branch(), BranchLoss(features.pooled, labels));
  terms.Add("domain", weights.domain(), DomainLoss(features.pooled, labels));
  return terms;
}

Logits MaskedMoeImpl::Forward(const nets::EncoderFeatures& features) {
  Logits logits;
  if (branch_gate_ != nullptr) logits.branch = branch_gate_->forward(features.pooled);
  for (const nets::Head& gate : domain_gate_) {
    logits.domain.push_back(gate == nullptr ? torch::Tensor() : gate->forward(features.pooled));
  }
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
  const auto at = [](const std::vector<double>& values, size_t i) {
    return values.empty() ? 1.0 : values[i];
  };
  const size_t branches = network.branches().size();
  const int64_t rows = logits.classes.front().size(0);
  LogProbabilities log;
  log.branch = branches > 1 ? LogSoftmax(logits.branch, temperatures.branch)
                            : torch::zeros({rows, 1}, logits.classes.front().device());  // [N, B]
  std::vector<torch::Tensor> within(branches);
  for (size_t b = 0; b < branches; ++b) {
    within[b] = logits.domain[b].defined()
                    ? LogSoftmax(logits.domain[b], at(temperatures.domain, b))
                    : torch::zeros({rows, 1}, logits.classes.front().device());  // [N, G_b]
  }
  std::vector<int64_t> next(branches, 0);
  std::vector<torch::Tensor> domains, joints;
  for (size_t g = 0; g < network.domains().size(); ++g) {
    const size_t b = network.branch_of(g);
    const torch::Tensor domain =
        log.branch.select(1, static_cast<int64_t>(b)) + within[b].select(1, next[b]++);  // [N]
    domains.push_back(domain);
    joints.push_back(domain.unsqueeze(1) +
                     LogSoftmax(logits.classes[g], at(temperatures.classes, g)));
  }
  log.domain = torch::stack(domains, 1);  // [N, G]
  log.joint = torch::cat(joints, 1);      // [N, ΣC]
  return log;
}

torch::Tensor MaskedLogSoftmax(const torch::Tensor& logits, const torch::Tensor& mask) {
  const double masked = -std::numeric_limits<double>::infinity();
  return logits.masked_fill(mask == 0, masked).log_softmax(/*dim=*/-1);
}

}  // namespace orchard::training
