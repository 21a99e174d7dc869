#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/head.h"
#include "orchard/v1/network.pb.h"
#include "training/training.h"

namespace orchard::training {

/// Which domains a branch has, as gates see it.
struct Tree {
  std::vector<std::string> branches;  ///< [B], in the order in which domains first name them
  std::vector<size_t> branch_of;      ///< [G]
  std::vector<size_t> index_within;   ///< [G]: position among its branch's domains
  std::vector<size_t> branch_size;    ///< [B]: domains
};
Tree TreeOf(const std::vector<DomainClasses>& domains);

/// Logits of both levels for a batch.
struct GateLogits {
  torch::Tensor branch;               ///< [N, B]; undefined with one branch
  std::vector<torch::Tensor> domain;  ///< [B] of [N, G_b]; undefined for a branch of one domain
};

/// Temperatures of both levels; an empty vector means 1 everywhere.
struct GateTemperatures {
  double branch = 1.0;
  std::vector<double> domain;  ///< [B]
};

/// Log-probabilities of both levels.
struct GateLogProbabilities {
  torch::Tensor branch;  ///< [N, B]
  torch::Tensor domain;  ///< [N, G]: log p(branch) + log p(domain | branch)
};

/// Gate1 and a Gate2 a branch as they are trained: heads on pooled features [N, 1280]. With one
/// branch there is no Gate1, for a branch of one domain no Gate2. Submodule names are the tensor
/// names on disk: "branch", "domain.<branch>". Source: models.md sections 2.3 to 2.5.
class GatesImpl final : public torch::nn::Module {
 public:
  /// `gate` is the network of every gate. Errors: those of nets::MakeHead.
  static absl::StatusOr<std::shared_ptr<GatesImpl>> Make(const orchard::v1::Network& gate,
                                                         Tree tree, double dropout);

  /// Sum over the rows of -log p(branch); undefined with one branch.
  torch::Tensor BranchLoss(const torch::Tensor& pooled, const std::vector<Label>& labels);

  /// Sum over the rows of -log p(domain | branch), each by its own branch's gate. Gates of branches
  /// without a row are not called, so that their gradients stay undefined; without any: undefined.
  torch::Tensor DomainLoss(const torch::Tensor& pooled, const std::vector<Label>& labels);

  /// Every gate for every row.
  GateLogits Forward(const torch::Tensor& pooled);

  const Tree& tree() const { return tree_; }

 private:
  explicit GatesImpl(Tree tree) : tree_(std::move(tree)) {}

  Tree tree_;
  nets::Head branch_;
  std::vector<nets::Head> domain_;  // [B]; null for a branch of one domain
};

/// Log-probabilities from logits, in the precision of the logits. `like` gives rows, device and
/// element type where there are no logits: any [N, …].
GateLogProbabilities CombineGates(const Tree& tree, const GateLogits& logits,
                                  const GateTemperatures& temperatures, const torch::Tensor& like);

/// Sum of the rows' cross-entropies.
torch::Tensor CrossEntropySum(const torch::Tensor& logits, const std::vector<int64_t>& target,
                              double smoothing = 0.0);

/// Indices into the rows of `of`, on its device.
torch::Tensor RowIndices(const std::vector<int64_t>& indices, const torch::Tensor& of);

/// log softmax(logits / temperature) over the last of two dimensions.
torch::Tensor LogSoftmaxAt(const torch::Tensor& logits, double temperature);

}  // namespace orchard::training
