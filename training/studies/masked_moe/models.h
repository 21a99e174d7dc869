#pragma once

#include <functional>
#include <string>
#include <vector>

#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/model.h"
#include "training/studies/masked_moe/masked_moe.h"
#include "training/studies/masked_moe/sharded_encoder.h"

/// \file
/// The Masked Mixture-of-Experts as the loop sees it: its heads alone, or everything.

namespace orchard::training {

/// The peak rate of a parameter by its name and value.
using RateOf = std::function<double(const std::string&, const torch::Tensor&)>;

/// What both have in common. What they are given outlives them.
class MaskedMoeModel : public Model {
 public:
  MaskedMoeModel(MaskedMoeImpl& network, const v1::Losses& losses, RateOf rate)
      : network_(network), losses_(losses), rate_(std::move(rate)) {}

  torch::nn::Module& module() override { return network_; }
  std::vector<TrainedParameter> Parameters() override { return TrainedParameters(network_, rate_); }
  void TrainMode() override { network_.TrainWithFrozenStatistics(); }

 protected:
  MaskedMoeImpl& network_;
  const v1::Losses& losses_;

 private:
  RateOf rate_;
};

/// Heads alone. Batches hold features {pooled} or {pooled, map} and labels.
class HeadsModel final : public MaskedMoeModel {
 public:
  /// `tails_as_linear`: MaskedMoeImpl::TailsAsLinear, for which the map is not needed.
  HeadsModel(MaskedMoeImpl& network, const v1::Losses& losses, RateOf rate, bool tails_as_linear)
      : MaskedMoeModel(network, losses, std::move(rate)), tails_as_linear_(tails_as_linear) {}

  absl::StatusOr<LossTerms> Loss(const Batch& batch) override;

 private:
  bool tails_as_linear_;
};

/// Everything end to end. Batches hold pixels and labels.
class EndToEndModel final : public MaskedMoeModel {
 public:
  EndToEndModel(MaskedMoeImpl& network, const v1::Losses& losses, RateOf rate,
                const orchard::v1::Preprocessing& preprocessing,
                const ShardedEncoder::Options& encoder)
      : MaskedMoeModel(network, losses, std::move(rate)),
        encoder_(network.encoder, preprocessing, encoder) {}

  absl::StatusOr<LossTerms> Loss(const Batch& batch) override;
  void FinishBackward() override { encoder_.Backward(features_); }

 private:
  ShardedEncoder encoder_;
  nets::EncoderFeatures features_;  // Of the last Loss, with what backward() left in them.
};

}  // namespace orchard::training
