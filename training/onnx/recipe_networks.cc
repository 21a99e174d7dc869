#include "training/onnx/recipe_networks.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "nets/head.h"
#include "nets/mobilenet_v2.h"
#include "training/recipe.h"
#include "training/studies/gates/statements.h"
#include "training/studies/masked_moe/statements.h"

namespace orchard::training {
namespace {

using Parts = std::vector<model::PartNetwork>;

constexpr int64_t kSigns = 43;    // classes of GTSRB
constexpr int64_t kObjects = 10;  // classes of CIFAR-10

int64_t ClassesOf(const v1::Domain& domain, int64_t otherwise) {
  switch (domain.source_case()) {
    case v1::Domain::kGtsrb:
      return kSigns;
    case v1::Domain::kCifar10:
      return kObjects;
    default:
      return otherwise;
  }
}

absl::Status AddHead(const v1::Recipe& recipe, const std::string& name,
                     const orchard::v1::Network& network, int64_t classes, Parts& parts) {
  const auto entry = nets::FindHead(network, classes);
  if (!entry.ok()) return core::Annotate(entry.status(), name);
  ORCHARD_ASSIGN_OR_RETURN(const nets::Head head, nets::MakeHead(network, {.classes = classes}));
  parts.push_back(model::HeadNetwork(name, head, (*entry)->feature_kind, PreprocessingOf(recipe),
                                     /*temperature=*/1.0));
  return absl::OkStatus();
}

/// Gate1 and each Gate2 that has something to choose.
absl::Status AddGates(const v1::Recipe& recipe, const orchard::v1::Network& gate, Parts& parts) {
  const std::vector<std::string> branches = Branches(recipe);
  const auto add = [&](const std::string& name, int64_t options) {
    return options < 2 ? absl::OkStatus() : AddHead(recipe, name, gate, options, parts);
  };
  ORCHARD_RETURN_IF_ERROR(add("gates/branch", static_cast<int64_t>(branches.size())));
  for (const std::string& branch : branches) {
    int64_t domains = 0;
    for (const v1::Domain& domain : recipe.domains()) domains += domain.branch() == branch ? 1 : 0;
    ORCHARD_RETURN_IF_ERROR(add(absl::StrCat("gates/domain.", branch), domains));
  }
  return absl::OkStatus();
}

orchard::v1::Network VitOf(const v1::Recipe& recipe) {
  orchard::v1::Network network;
  *network.mutable_vit_moe() = recipe.vit_moe().network();
  return network;
}

}  // namespace

absl::StatusOr<Parts> RecipeNetworks(const v1::Recipe& recipe, int64_t classes) {
  Parts parts;
  const bool gates_alone = recipe.has_gates();
  if (recipe.has_masked_moe() || gates_alone) {
    parts.push_back(model::EncoderNetwork(nets::MobileNetV2(), PreprocessingOf(recipe)));
    ORCHARD_RETURN_IF_ERROR(
        AddGates(recipe, gates_alone ? GateNetworkOf(recipe) : GateOf(recipe), parts));
  }
  if (gates_alone) return parts;  // Its experts are finished: other recipes'.
  for (const v1::Domain& domain : recipe.domains()) {
    ORCHARD_RETURN_IF_ERROR(AddHead(recipe, absl::StrCat("experts/", domain.name()),
                                    recipe.has_vit_moe() ? VitOf(recipe) : domain.expert(),
                                    ClassesOf(domain, classes), parts));
  }
  return parts;
}

}  // namespace orchard::training
