#include "nets/vit_moe/vit_network.h"

#include <utility>

#include "nets/network.h"

namespace orchard::nets {
namespace {

VitLayer LayerOf(v1::VitMoe::Layer layer) {
  switch (layer) {
    case v1::VitMoe::DENSE:
      return VitLayer::kDense;
    case v1::VitMoe::SOFT:
      return VitLayer::kSoft;
    case v1::VitMoe::MODULATED:
      return VitLayer::kModulated;
    default:
      return VitLayer::kExperts;
  }
}

RouterKind KindOf(v1::TokenRouter::Kind kind) {
  switch (kind) {
    case v1::TokenRouter::COSINE_TOKEN:
      return RouterKind::kCosineToken;
    case v1::TokenRouter::SWITCH:
      return RouterKind::kSwitch;
    case v1::TokenRouter::NOISY_TOP_K:
      return RouterKind::kNoisyTopK;
    case v1::TokenRouter::V_MOE:
      return RouterKind::kVMoe;
    case v1::TokenRouter::V_MOE_BPR:
      return RouterKind::kVMoeBpr;
    case v1::TokenRouter::EXPERT_CHOICE:
      return RouterKind::kExpertChoice;
    case v1::TokenRouter::LOSS_FREE:
      return RouterKind::kLossFree;
    case v1::TokenRouter::MLP:
      return RouterKind::kMlp;
    case v1::TokenRouter::CROSS_ATTENTION:
      return RouterKind::kCrossAttention;
    case v1::TokenRouter::UNCERTAIN:
      return RouterKind::kUncertain;
    default:
      return RouterKind::kLinear;
  }
}

UncertaintyMode ModeOf(v1::TokenRouter::Uncertainty uncertainty) {
  switch (uncertainty) {
    case v1::TokenRouter::OFF:
      return UncertaintyMode::kOff;
    case v1::TokenRouter::MEAN_TEST:
      return UncertaintyMode::kMeanTest;
    case v1::TokenRouter::INV_STD:
      return UncertaintyMode::kInvStd;
    case v1::TokenRouter::WHITEN:
      return UncertaintyMode::kWhiten;
    default:
      return UncertaintyMode::kMean;
  }
}

FmeKind KindOf(v1::Modulation::Kind kind) {
  switch (kind) {
    case v1::Modulation::COND:
      return FmeKind::kCond;
    case v1::Modulation::LOW_RANK:
      return FmeKind::kLowRank;
    case v1::Modulation::HIDDEN:
      return FmeKind::kHidden;
    case v1::Modulation::AFTER:
      return FmeKind::kAfter;
    default:
      return FmeKind::kStatic;
  }
}

RouterOptions RouterOf(const v1::VitMoe& network) {
  const v1::TokenRouter& router = network.router();
  RouterOptions options;
  options.kind = KindOf(router.kind());
  options.experts = network.experts();
  options.top_k = network.top_k();
  options.bias = router.bias();
  options.capacity = router.capacity();
  options.choices = router.choices();
  options.sigmoid = !router.softmax_scores();
  options.hidden = router.hidden();
  options.heads = router.heads();
  options.mode = ModeOf(router.uncertainty());
  options.passes = router.passes();
  options.pass_dropout = router.pass_dropout();
  return options;
}

}  // namespace

VitOptions OptionsOf(const v1::VitMoe& network, int64_t classes) {
  v1::Network any;
  *any.mutable_vit_moe() = network;
  const v1::VitMoe whole = Complete(std::move(any)).vit_moe();
  VitOptions options;
  options.mode = whole.mode() == v1::VitMoe::PARITY ? VitMode::kParity : VitMode::kCorrected;
  options.layer = LayerOf(whole.layer());
  options.classes = classes;
  options.side = whole.side();
  options.patch = whole.patch();
  options.width = whole.width();
  options.layers = whole.layers();
  options.heads = whole.heads();
  options.hidden = whole.hidden();
  options.convolutional_stem = whole.stem();
  options.slots_each = whole.slots();
  options.router = RouterOf(whole);
  options.fme.kind = KindOf(whole.modulation().kind());
  options.fme.rank = whole.modulation().rank();
  options.fme.pre_transform = whole.modulation().pre_transform();
  return options;
}

std::vector<std::string> ServingFaults(const v1::VitMoe& network) {
  if (network.router().kind() != v1::TokenRouter::V_MOE_BPR) return {};
  return {
      "router V_MOE_BPR can't be served: its answer for a picture depends on the others of its "
      "batch"};
}

}  // namespace orchard::nets
