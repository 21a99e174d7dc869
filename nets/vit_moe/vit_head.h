#pragma once

#include <atomic>
#include <vector>

#include "nets/head.h"
#include "nets/vit_moe/vit_moe.h"

namespace orchard::nets {

/// A Vit as an expert on pictures. Served eagerly: which FFNs a token goes through depends on it.
///
/// The part's file holds the Vit's own names (`patch_embed.proj`, `blocks.N.…`, `head`).
struct VitHead final : HeadModule {
  /// `network` with its defaults.
  VitHead(const v1::VitMoe& network, const HeadArgs& args);

  /// x [N, 3, side, side], standardised.
  torch::Tensor forward(const torch::Tensor& x) override;
  Way way() const override { return Way::kEager; }
  torch::nn::Module& stored() override { return *vit; }
  std::vector<RoutingCounts> Counts() const override { return tally_.Counts(); }
  void StartCounting() override { counting_ = true; }

  Vit vit{nullptr};

 private:
  std::atomic<bool> counting_ = false;
  RoutingTally tally_;
};

}  // namespace orchard::nets
