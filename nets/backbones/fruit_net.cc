#include "nets/backbones/fruit_net.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/nn.h>

#include "nets/backbones/channel_attention.h"
#include "nets/backbones/simple_cnn.h"
#include "nets/range_fault.h"

namespace orchard::nets {
namespace {

constexpr int64_t kSeReduction = 8;
constexpr int64_t kCbamReduction = 16;
constexpr int64_t kCnnHidden = 128;
constexpr int64_t kPooledHidden = 256;

BackboneOptions TrunkOf(const FruitNetOptions& options) {
  return {.kind = options.trunk, .same_padding = options.same_padding, .keras = options.keras};
}

bool OnEveryStage(TrunkAttention attention) {
  return attention == TrunkAttention::kSeStages || attention == TrunkAttention::kCbamStages;
}

MapAttention MakeAttention(TrunkAttention attention, int64_t channels) {
  if (attention == TrunkAttention::kCbamStages) {
    return std::make_shared<Cbam>(channels, kCbamReduction);
  }
  return std::make_shared<SqueezeExcite>(channels, kSeReduction,
                                         /*gated=*/attention != TrunkAttention::kAddEnd);
}

}  // namespace

std::string_view NameOf(TrunkAttention attention) {
  switch (attention) {
    case TrunkAttention::kNone:
      return "none";
    case TrunkAttention::kSeEnd:
      return "se_end";
    case TrunkAttention::kSeStages:
      return "se_stages";
    case TrunkAttention::kCbamStages:
      return "cbam_stages";
    case TrunkAttention::kAddEnd:
      return "add_end";
  }
  return "unknown";
}

std::vector<std::string> Faults(const FruitNetOptions& options) {
  std::vector<std::string> faults = Faults(TrunkOf(options));
  switch (options.trunk) {
    case BackboneKind::kSimpleCnn:
    case BackboneKind::kVgg16:
    case BackboneKind::kResNet18:
    case BackboneKind::kResNet50:
      break;
    default:
      faults.push_back(absl::StrCat("trunk is ", std::string(NameOf(options.trunk)),
                                    ", must be simple_cnn, vgg16, resnet18 or resnet50"));
  }
  RequireWithin(1, 65536, "classes", options.classes, faults);
  RequireWithin(32, 1024, "side", options.side, faults);
  RequireShare(0.0, 0.9, "dropout", options.dropout, faults);
  return faults;
}

FruitNetImpl::FruitNetImpl(const FruitNetOptions& options) : options_(options) {
  trunk = *MakeBackbone(TrunkOf(options));  // Faults(options) has asked Faults(TrunkOf(options)).
  register_module("trunk", trunk);
  const std::vector<int64_t> stages = trunk->StageChannels();
  torch::nn::ModuleList list;
  if (OnEveryStage(options.attention)) {
    for (const int64_t channels : stages) {
      list->push_back(MakeAttention(options.attention, channels));
    }
  } else if (options.attention != TrunkAttention::kNone) {
    list->push_back(MakeAttention(options.attention, stages.back()));
  }
  attention = register_module("attention", list);
  int64_t in = stages.back();
  int64_t width = kPooledHidden;
  if (options.trunk == BackboneKind::kSimpleCnn) {
    const int64_t side = SimpleCnnMapSide(options.side, options.same_padding);
    in *= side * side;
    width = kCnnHidden;
  }
  hidden = register_module("hidden", torch::nn::Linear(in, width));
  drop = register_module("drop", torch::nn::Dropout(options.dropout));
  head = register_module("head", torch::nn::Linear(width, options.classes));
}

torch::Tensor FruitNetImpl::forward(const torch::Tensor& x) {
  if (!OnEveryStage(options_.attention)) return AfterTrunk(trunk->Map(x, nullptr));
  const size_t last = trunk->StageChannels().size() - 1;
  const auto between = [&](size_t stage, const torch::Tensor& map) {
    return stage < last ? attention->ptr(stage)->as<MapAttentionImpl>()->forward(map) : map;
  };
  return AfterTrunk(trunk->Map(x, between));
}

torch::Tensor FruitNetImpl::AfterTrunk(const torch::Tensor& map) {
  torch::Tensor y = map;
  if (!attention->is_empty()) {  // The last one is the last stage's.
    y = attention->ptr(attention->size() - 1)->as<MapAttentionImpl>()->forward(y);
  }
  const bool flat = options_.trunk == BackboneKind::kSimpleCnn;
  const torch::Tensor rows = flat ? y.flatten(1) : y.mean({2, 3});
  return head(drop(torch::relu(hidden(rows))));  // [N, classes]
}

absl::StatusOr<FruitNet> MakeFruitNet(const FruitNetOptions& options) {
  if (const auto faults = Faults(options); !faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  }
  return FruitNet(options);
}

}  // namespace orchard::nets
