#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "nets/bottleneck_tail.h"
#include "nets/head.h"
#include "nets/linear.h"
#include "nets/mbconv_tail.h"
#include "nets/mlp.h"
#include "nets/mobilenet_v2.h"
#include "nets/vit_moe/vit_head.h"
#include "nets/vit_moe/vit_network.h"

namespace orchard::nets {
namespace {

using core::FeatureKind;

}  // namespace

void HeadModule::InitialiseFrom(torch::nn::Module& /*last_block*/) {}

const std::vector<HeadEntry>& Heads() {
  static const auto& heads = *new std::vector<HeadEntry>{
      {"linear", FeatureKind::kPooled,
       [](const v1::Network&, const HeadArgs& args) -> Head {
         return std::make_shared<LinearHead>(args);
       }},
      {"mlp", FeatureKind::kPooled,
       [](const v1::Network& network, const HeadArgs& args) -> Head {
         return std::make_shared<MlpHead>(network.mlp(), args);
       }},
      {"bottleneck_tail", FeatureKind::kMap,
       [](const v1::Network& network, const HeadArgs& args) -> Head {
         return std::make_shared<BottleneckTail>(network.bottleneck_tail(), args);
       }},
      {"mbconv_tail", FeatureKind::kMap,
       [](const v1::Network& network, const HeadArgs& args) -> Head {
         return std::make_shared<MbconvTail>(network.mbconv_tail(), args);
       }},
      {"vit_moe", FeatureKind::kImage,
       [](const v1::Network& network, const HeadArgs& args) -> Head {
         return std::make_shared<VitHead>(network.vit_moe(), args);
       },
       [](const v1::Network& network, int64_t classes) {
         std::vector<std::string> faults = Faults(OptionsOf(network.vit_moe(), classes));
         for (std::string& fault : ServingFaults(network.vit_moe())) {
           faults.push_back(std::move(fault));
         }
         return faults;
       },
       [](const v1::Network& network) { return OptionsOf(network.vit_moe(), 2).side; }},
  };
  return heads;
}

const std::vector<HeadEntry>& FeatureHeads() {
  static const auto& heads = *[] {
    auto* const found = new std::vector<HeadEntry>();
    for (const HeadEntry& entry : Heads()) {
      if (entry.feature_kind != FeatureKind::kImage) found->push_back(entry);
    }
    return found;
  }();
  return heads;
}

absl::StatusOr<const HeadEntry*> FindHead(const v1::Network& network, int64_t classes) {
  if (const std::vector<std::string> faults = NetworkFaults(network); !faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  }
  std::vector<std::string> names;
  for (const HeadEntry& entry : Heads()) {
    names.emplace_back(entry.name);
    if (entry.name != NetworkName(network)) continue;
    if (classes < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("a head needs at least 2 classes, not ", classes));
    }
    if (entry.faults == nullptr) return &entry;
    const std::vector<std::string> faults = entry.faults(network, classes);
    if (faults.empty()) return &entry;
    return absl::InvalidArgumentError(
        absl::StrCat(NetworkName(network), ": ", absl::StrJoin(faults, "; ")));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      NetworkName(network), " is no gate and no expert; known: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<Head> MakeHead(const v1::Network& network, const HeadArgs& args) {
  const auto entry = FindHead(network, args.classes);
  if (!entry.ok()) return entry.status();
  return (*entry)->make(Complete(network), args);
}

std::vector<int64_t> RowShape(core::FeatureKind kind) {
  if (kind == FeatureKind::kMap) return {kMapChannels, kMapSide, kMapSide};
  return {kPooledWidth};
}

}  // namespace orchard::nets
