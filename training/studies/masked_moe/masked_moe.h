#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/head.h"
#include "nets/mobilenet_v2.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/gates.h"
#include "training/loop/model.h"
#include "training/training.h"

namespace orchard::training {

/// Logits of every level for a batch.
struct Logits {
  GateLogits gates;
  std::vector<torch::Tensor> classes;  ///< [G] of [N, C_g]
};

/// Log-probabilities of every level (models.md section 2.4).
struct LogProbabilities {
  torch::Tensor branch;  ///< [N, B]
  torch::Tensor domain;  ///< [N, G]: log p(branch) + log p(domain | branch)
  torch::Tensor joint;   ///< [N, ΣC]: log p(domain) + log p(class | domain); classes of all domains
};

/// Temperatures of every level; empty vectors mean 1 everywhere.
struct Temperatures {
  GateTemperatures gates;
  std::vector<double> classes;  ///< [G]
};

/// The Masked Mixture-of-Experts as it is trained: one encoder, Gate1, a Gate2 a branch, an expert
/// a domain.
///
///   pixels ─ encoder ─┬─ pooled ─ gates.branch, gates.domain.<branch>, experts.<domain> (mlp)
///                     └─ map ──── experts.<domain> (tails)
///
/// Submodule names are the names of parts and tensors on disk: "encoder", "gates", "experts".
/// Source: models.md sections 2.3 to 2.5.
class MaskedMoeImpl final : public torch::nn::Module {
 public:
  /// Errors: those of nets::MakeHead, naming the domain.
  static absl::StatusOr<std::shared_ptr<MaskedMoeImpl>> Make(
      const v1::Recipe& recipe, const std::vector<DomainClasses>& domains);

  /// Copies the encoder's weights, and lets the tails' ends start from its last block.
  void StartFrom(const nets::MobileNetV2Impl& pretrained);

  /// The masked loss as its terms "expert", "branch" and "domain": three means over the N pictures
  /// of the batch, each term summed over the pictures that it concerns. Experts without a picture
  /// in the batch, and the gates of branches without one, are not called, so that their gradients
  /// stay undefined.
  LossTerms Terms(const nets::EncoderFeatures& features, const std::vector<Label>& labels,
                  const v1::Losses& weights);

  /// Their sum, a scalar.
  torch::Tensor Loss(const nets::EncoderFeatures& features, const std::vector<Label>& labels,
                     const v1::Losses& weights) {
    return Terms(features, labels, weights).Total();
  }

  /// Everything for every row, whatever its domain: for evaluation.
  Logits Forward(const nets::EncoderFeatures& features);

  /// Evaluation mode for every BatchNorm, training mode (dropout) for the rest.
  void TrainWithFrozenStatistics();

  /// Sets the statistics of the tails' own BatchNorms to those of their domain's pictures, because
  /// they stay frozen afterwards. `maps`: [M, 320, 7, 7] of domain `domain`.
  void MeasureStatistics(size_t domain, const torch::Tensor& maps);

  /// With `on` a tail is what it starts as: its last layer on the encoder's pooled features, which
  /// is the same function while its block is the identity and its `project` the encoder's, at a
  /// hundredth of the cost. Maps are not read then.
  void TailsAsLinear(bool on) { tails_as_linear_ = on; }

  bool ReadsMap(size_t domain) const { return reads_map_[domain]; }
  size_t branch_of(size_t domain) const { return gates->tree().branch_of[domain]; }
  const std::vector<DomainClasses>& domains() const { return domains_; }
  const std::vector<std::string>& branches() const { return gates->tree().branches; }

  nets::MobileNetV2 encoder{nullptr};
  std::shared_ptr<GatesImpl> gates;
  std::shared_ptr<torch::nn::Module> experts;

 private:
  explicit MaskedMoeImpl(const std::vector<DomainClasses>& domains);
  absl::Status AddHeads(const v1::Recipe& recipe);
  torch::Tensor ExpertLogits(size_t domain, const nets::EncoderFeatures& features,
                             const torch::Tensor& rows);
  torch::Tensor ExpertLoss(const nets::EncoderFeatures& features, const std::vector<Label>& labels,
                           double smoothing);

  std::vector<DomainClasses> domains_;
  std::vector<bool> reads_map_;  // [G]
  bool tails_as_linear_ = false;
  std::vector<nets::Head> expert_;  // [G]
};

/// Log-probabilities from logits, in the precision of the logits.
LogProbabilities Combine(const MaskedMoeImpl& network, const Logits& logits,
                         const Temperatures& temperatures);

/// log_softmax(logits + log mask) over the last dimension: `mask` is 0 or 1, same shape or
/// broadcast; masked entries are -∞. Over a domain's classes it equals that domain's own
/// log_softmax. Source: models.md section 2.4.
torch::Tensor MaskedLogSoftmax(const torch::Tensor& logits, const torch::Tensor& mask);

}  // namespace orchard::training
