#include "training/loop/gates.h"

#include <algorithm>
#include <utility>

#include <torch/torch.h>

#include "core/status.h"

namespace orchard::training {

namespace F = torch::nn::functional;

Tree TreeOf(const std::vector<DomainClasses>& domains) {
  Tree tree;
  for (const DomainClasses& domain : domains) {
    const auto found = std::ranges::find(tree.branches, domain.branch);
    const auto branch = static_cast<size_t>(found - tree.branches.begin());
    if (found == tree.branches.end()) {
      tree.branches.push_back(domain.branch);
      tree.branch_size.push_back(0);
    }
    tree.branch_of.push_back(branch);
    tree.index_within.push_back(tree.branch_size[branch]++);
  }
  return tree;
}

torch::Tensor RowIndices(const std::vector<int64_t>& indices, const torch::Tensor& of) {
  return torch::tensor(indices, torch::kLong).to(of.device());
}

torch::Tensor CrossEntropySum(const torch::Tensor& logits, const std::vector<int64_t>& target,
                              double smoothing) {
  return F::cross_entropy(
      logits, RowIndices(target, logits),
      F::CrossEntropyFuncOptions().reduction(torch::kSum).label_smoothing(smoothing));
}

torch::Tensor LogSoftmaxAt(const torch::Tensor& logits, double temperature) {
  return (logits / temperature).log_softmax(/*dim=*/1);
}

absl::StatusOr<std::shared_ptr<GatesImpl>> GatesImpl::Make(const orchard::v1::Network& gate,
                                                           Tree tree, double dropout) {
  std::shared_ptr<GatesImpl> gates(new GatesImpl(std::move(tree)));
  const auto make = [&](size_t outputs) {
    return nets::MakeHead(gate, {.classes = static_cast<int64_t>(outputs), .dropout = dropout});
  };
  const Tree& t = gates->tree_;
  if (t.branches.size() > 1) {
    ORCHARD_ASSIGN_OR_RETURN(gates->branch_, make(t.branches.size()));
    gates->register_module("branch", gates->branch_);
  }
  const auto of_branches = gates->register_module("domain", std::make_shared<torch::nn::Module>());
  for (size_t b = 0; b < t.branches.size(); ++b) {
    gates->domain_.emplace_back();
    if (t.branch_size[b] < 2) continue;
    ORCHARD_ASSIGN_OR_RETURN(gates->domain_.back(), make(t.branch_size[b]));
    of_branches->register_module(t.branches[b], gates->domain_.back());
  }
  return gates;
}

torch::Tensor GatesImpl::BranchLoss(const torch::Tensor& pooled, const std::vector<Label>& labels) {
  if (branch_ == nullptr) return {};
  std::vector<int64_t> target;
  for (const Label& label : labels) {
    target.push_back(static_cast<int64_t>(tree_.branch_of[label.domain]));
  }
  return CrossEntropySum(branch_->forward(pooled), target);
}

torch::Tensor GatesImpl::DomainLoss(const torch::Tensor& pooled, const std::vector<Label>& labels) {
  torch::Tensor sum;
  for (size_t b = 0; b < tree_.branches.size(); ++b) {
    if (domain_[b] == nullptr) continue;
    std::vector<int64_t> rows, target;
    for (size_t i = 0; i < labels.size(); ++i) {
      if (tree_.branch_of[labels[i].domain] != b) continue;
      rows.push_back(static_cast<int64_t>(i));
      target.push_back(static_cast<int64_t>(tree_.index_within[labels[i].domain]));
    }
    if (rows.empty()) continue;
    const torch::Tensor own = pooled.index_select(0, RowIndices(rows, pooled));
    const torch::Tensor term = CrossEntropySum(domain_[b]->forward(own), target);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

GateLogits GatesImpl::Forward(const torch::Tensor& pooled) {
  GateLogits logits;
  if (branch_ != nullptr) logits.branch = branch_->forward(pooled);
  for (const nets::Head& gate : domain_) {
    logits.domain.push_back(gate == nullptr ? torch::Tensor() : gate->forward(pooled));
  }
  return logits;
}

GateLogProbabilities CombineGates(const Tree& tree, const GateLogits& logits,
                                  const GateTemperatures& temperatures, const torch::Tensor& like) {
  const auto certain = [&] { return torch::zeros({like.size(0), 1}, like.device()); };  // [N, 1]
  GateLogProbabilities log;
  log.branch = tree.branches.size() > 1 ? LogSoftmaxAt(logits.branch, temperatures.branch)
                                        : certain();  // [N, B]
  std::vector<torch::Tensor> within;                  // [B] of [N, G_b]
  for (size_t b = 0; b < tree.branches.size(); ++b) {
    const double temperature = temperatures.domain.empty() ? 1.0 : temperatures.domain[b];
    within.push_back(logits.domain[b].defined() ? LogSoftmaxAt(logits.domain[b], temperature)
                                                : certain());
  }
  std::vector<torch::Tensor> domains;
  for (size_t g = 0; g < tree.branch_of.size(); ++g) {
    const size_t b = tree.branch_of[g];
    domains.push_back(log.branch.select(1, static_cast<int64_t>(b)) +
                      within[b].select(1, static_cast<int64_t>(tree.index_within[g])));  // [N]
  }
  log.domain = torch::stack(domains, 1);  // [N, G]
  return log;
}

}  // namespace orchard::training
