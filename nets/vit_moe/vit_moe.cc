#include "nets/vit_moe/vit_moe.h"

#include <bit>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/nn.h>

#include "nets/conv_bn.h"
#include "nets/range_fault.h"
#include "nets/vit_moe/vit_block.h"

namespace orchard::nets {
namespace {

constexpr double kInitialDeviation = 0.02;

/// Convolutions 3×3, the first without stride, each of the others halving the side; widths double
/// up to D. After each BatchNorm and ReLU.
torch::nn::Sequential MakeStem(const VitOptions& options) {
  torch::nn::Sequential stem;
  int64_t in = 3;
  for (int step = 0; step <= StemHalvings(options); ++step) {
    const int64_t out = options.width >> (StemHalvings(options) - step);
    stem->push_back(Convolution({.in = in, .out = out, .kernel = 3, .stride = step == 0 ? 1 : 2}));
    stem->push_back(Norm(out));
    stem->push_back(torch::nn::ReLU());
    in = out;
  }
  return stem;
}

VitBlockImpl& BlockAt(const torch::nn::ModuleList& blocks, size_t index) {
  return *blocks->ptr(index)->as<VitBlockImpl>();
}

bool Routes(const VitOptions& options) {
  return options.layer == VitLayer::kExperts || options.layer == VitLayer::kModulated;
}

}  // namespace

std::vector<std::string> Faults(const VitOptions& options) {
  std::vector<std::string> faults;
  RequireWithin(2, 65536, "classes", options.classes, faults);
  RequireWithin(1, 32, "patch", options.patch, faults);
  RequireWithin(1, 1024, "side", options.side, faults);
  Require(options.patch < 1 || options.side % options.patch == 0, "side", options.side,
          absl::StrCat("a multiple of the patch ", options.patch), faults);
  RequireWithin(1, 4096, "width", options.width, faults);
  RequireWithin(1, 64, "layers", options.layers, faults);
  RequireWithin(1, 128, "heads", options.heads, faults);
  Require(options.heads < 1 || options.width % options.heads == 0, "heads", options.heads,
          absl::StrCat("a divisor of the width ", options.width), faults);
  RequireWithin(1, 65536, "hidden", options.hidden, faults);
  RequireShare(0.0, 0.9, "dropout", options.dropout, faults);
  RequireShare(0.0, 0.9, "attention_dropout", options.attention_dropout, faults);
  RequireShare(0.0, 0.9, "drop_path", options.drop_path, faults);
  if (options.convolutional_stem && options.patch >= 1) {
    Require(std::has_single_bit(static_cast<uint64_t>(options.patch)), "patch", options.patch,
            "a power of two with the convolutional stem", faults);
    Require(options.width % options.patch == 0, "width", options.width,
            absl::StrCat("a multiple of the patch ", options.patch, " with the convolutional stem"),
            faults);
  }
  if (options.mode == VitMode::kParity && options.layer != VitLayer::kExperts) {
    faults.push_back("mode parity has experts as its layer, and no other");
  }
  if (options.layer == VitLayer::kSoft) {
    RequireWithin(1, 1024, "slots_each", options.slots_each, faults);
    RequireWithin(2, 1024, "experts", options.router.experts, faults);
  }
  if (Routes(options)) {
    RouterOptions router = options.router;
    router.width = options.width;
    if (options.mode == VitMode::kParity) router.kind = RouterKind::kCosineToken;
    for (std::string& fault : Faults(router)) faults.push_back(std::move(fault));
  }
  if (options.layer == VitLayer::kModulated) {
    FmeOptions fme = options.fme;
    fme.width = options.width;
    fme.hidden = options.hidden;
    fme.dropout = options.dropout;
    for (std::string& fault : Faults(fme)) faults.push_back(std::move(fault));
  }
  return faults;
}

VitImpl::VitImpl(const VitOptions& options) : options_(options) {
  const int64_t d = options.width;
  const int64_t tokens = (options.side / options.patch) * (options.side / options.patch);
  auto embed = std::make_shared<torch::nn::Module>();
  if (options.convolutional_stem) {
    stem = embed->register_module("stem", MakeStem(options));
    proj = embed->register_module("proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(d, d, 1)));
  } else {
    proj = embed->register_module(
        "proj",
        torch::nn::Conv2d(torch::nn::Conv2dOptions(3, d, options.patch).stride(options.patch)));
  }
  register_module("patch_embed", embed);
  cls_token = register_parameter("cls_token", torch::zeros({1, 1, d}));
  pos_embed = register_parameter("pos_embed", torch::zeros({1, tokens + 1, d}));
  drop = register_module("pos_drop", torch::nn::Dropout(options.dropout));
  torch::nn::ModuleList list;
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    if (options.mode == VitMode::kParity) {
      list->push_back(std::make_shared<ParityBlockImpl>(options));
    } else {
      const double share = options.layers == 1 ? 1.0
                                               : static_cast<double>(layer) /
                                                     static_cast<double>(options.layers - 1);
      list->push_back(std::make_shared<CorrectedBlockImpl>(options, share * options.drop_path));
    }
  }
  blocks = register_module("blocks", list);
  norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({d}).eps(1e-5)));
  head = register_module("head", torch::nn::Linear(d, options.classes));
  if (options.mode == VitMode::kCorrected) Initialise();
}

void VitImpl::Initialise() {
  TruncatedNormal(cls_token, kInitialDeviation);
  TruncatedNormal(pos_embed, kInitialDeviation);
  for (const auto& entry : named_modules(/*name_prefix=*/"", /*include_self=*/false)) {
    if (absl::StrContains(entry.key(), ".cond.")) continue;  // Modulations start near γ = 1.
    const auto* linear = entry.value()->as<torch::nn::LinearImpl>();
    if (linear == nullptr) continue;
    TruncatedNormal(linear->weight, kInitialDeviation);
    const torch::NoGradGuard guard;
    torch::Tensor bias = linear->bias;
    if (bias.defined()) bias.zero_();
  }
}

VitOutput VitImpl::forward(const torch::Tensor& x) {
  const torch::Tensor map = proj(stem ? stem->forward(x) : x);          // [B, D, 8, 8]
  const torch::Tensor patches = map.flatten(2).transpose(1, 2);         // [B, 64, D]
  const torch::Tensor first = cls_token.expand({x.size(0), -1, -1});    // [B, 1, D]
  torch::Tensor y = drop(torch::cat({first, patches}, 1) + pos_embed);  // [B, 65, D]
  VitOutput output;
  for (size_t i = 0; i < blocks->size(); ++i) {
    TokenLayerOutput layer = BlockAt(blocks, i).forward(y);
    y = layer.y;
    if (layer.routing.logits.defined()) output.routing.push_back(std::move(layer.routing));
  }
  output.features = norm(y).select(1, 0);  // [B, D]
  output.logits = head(output.features);   // [B, classes]
  return output;
}

std::vector<TokenRouterImpl*> VitImpl::Routers() const {
  std::vector<TokenRouterImpl*> routers;
  for (size_t i = 0; i < blocks->size(); ++i) {
    if (auto* router = BlockAt(blocks, i).Router()) routers.push_back(router);
  }
  return routers;
}

std::vector<LossTerm> VitImpl::Terms(const VitOutput& output,
                                     const RouterLossWeights& weights) const {
  std::vector<std::vector<LossTerm>> layers;
  const std::vector<TokenRouterImpl*> routers = Routers();
  for (size_t i = 0; i < output.routing.size(); ++i) {
    layers.push_back(RouterTerms(*routers[i], output.routing[i], weights));
  }
  return MeanTerms(layers);
}

absl::StatusOr<Vit> MakeVit(const VitOptions& options) {
  if (const auto faults = Faults(options); !faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  }
  return Vit(options);
}

RouterLossWeights ParityRouterWeights() { return {.balance = 1.0, .z = 0.0, .norm = 0.03}; }

}  // namespace orchard::nets
