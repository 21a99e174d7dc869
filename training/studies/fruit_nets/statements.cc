#include "training/studies/fruit_nets/statements.h"

#include <set>

#include "absl/strings/str_cat.h"

#include "training/recipe.h"
#include "training/recipe_checks.h"

namespace orchard::training {
namespace {

constexpr std::uint32_t kFolds = 5;
constexpr std::uint32_t kLeastFolds = 2;
constexpr std::uint32_t kMostFolds = 20;
constexpr int64_t kAnyClasses = 2;
constexpr double kDropout = 0.5;

nets::BackboneKind TrunkOf(v1::FruitNets::Trunk trunk) {
  switch (trunk) {
    case v1::FruitNets::VGG16:
      return nets::BackboneKind::kVgg16;
    case v1::FruitNets::RESNET18:
      return nets::BackboneKind::kResNet18;
    case v1::FruitNets::RESNET50:
      return nets::BackboneKind::kResNet50;
    default:
      return nets::BackboneKind::kSimpleCnn;
  }
}

nets::TrunkAttention AttentionOf(v1::FruitNets::Attention attention) {
  switch (attention) {
    case v1::FruitNets::SE_END:
      return nets::TrunkAttention::kSeEnd;
    case v1::FruitNets::SE_STAGES:
      return nets::TrunkAttention::kSeStages;
    case v1::FruitNets::CBAM_STAGES:
      return nets::TrunkAttention::kCbamStages;
    case v1::FruitNets::ADD_END:
      return nets::TrunkAttention::kAddEnd;
    default:
      return nets::TrunkAttention::kNone;
  }
}

void CheckNetwork(const v1::Recipe& recipe, std::vector<std::string>& faults) {
  const v1::FruitNets& study = recipe.fruit_nets();
  if (!v1::FruitNets::Trunk_IsValid(study.trunk())) {
    faults.push_back(absl::StrCat("fruit_nets.trunk is ", static_cast<int>(study.trunk()),
                                  ", must be SIMPLE_CNN, VGG16, RESNET18 or RESNET50"));
  }
  if (!v1::FruitNets::Attention_IsValid(study.attention())) {
    faults.push_back(absl::StrCat("fruit_nets.attention is ", static_cast<int>(study.attention()),
                                  ", must be NONE, SE_END, SE_STAGES, CBAM_STAGES or ADD_END"));
  }
  for (const std::string& fault : nets::Faults(FruitNetOptionsOf(recipe, kAnyClasses))) {
    faults.push_back(absl::StrCat("fruit_nets: ", fault));
  }
  const std::uint32_t side = PreprocessingOf(recipe).crop();
  for (const std::uint32_t trained : recipe.optimisation().sides()) {
    if (trained == side) continue;
    faults.push_back(absl::StrCat("optimisation.sides has ", trained,
                                  ", must be empty or preprocessing.crop ", side,
                                  ": the network is made for one size"));
  }
}

void CheckPretrained(const v1::Recipe& recipe, std::vector<std::string>& faults) {
  const v1::FruitNets& study = recipe.fruit_nets();
  if (study.pretrained() && study.trunk() != v1::FruitNets::VGG16) {
    faults.emplace_back("fruit_nets.pretrained: only VGG16 has weights to begin with");
  }
  if (study.pretrained() && !study.frozen_trunk() && !(recipe.optimisation().encoder_rate() > 0)) {
    faults.push_back(absl::StrCat("optimisation.encoder_rate is ",
                                  recipe.optimisation().encoder_rate(),
                                  ", must be above 0: it is the rate of the pretrained trunk"));
  }
  if (!study.frozen_trunk()) return;
  if (!study.pretrained()) {
    faults.emplace_back("fruit_nets.frozen_trunk needs pretrained: a trunk at random sees nothing");
  }
  if (study.attention() == v1::FruitNets::SE_STAGES ||
      study.attention() == v1::FruitNets::CBAM_STAGES) {
    faults.emplace_back(
        "fruit_nets.frozen_trunk: attention between stages learns through the trunk, it must be "
        "NONE, SE_END or ADD_END");
  }
  const bool varied = recipe.augmentation().ByteSizeLong() > 0 || recipe.has_mixing() ||
                      (recipe.domains_size() > 0 && recipe.domains(0).has_augmentation());
  if (varied) {
    faults.emplace_back(
        "fruit_nets.frozen_trunk: the trunk sees each picture once, as it is served; augmentation "
        "and mixing must be absent");
  }
}

void CheckFolds(const v1::Recipe& recipe, std::vector<std::string>& faults) {
  const v1::FruitNets& study = recipe.fruit_nets();
  if (study.folds() != 0 && (study.folds() < kLeastFolds || study.folds() > kMostFolds)) {
    faults.push_back(absl::StrCat("fruit_nets.folds is ", study.folds(), ", must be in [",
                                  kLeastFolds, ", ", kMostFolds, "], or 0 for ", kFolds));
  }
  const FoldOptions folds = FoldsOf(study);
  if (folds.held_out >= folds.folds) {
    faults.push_back(absl::StrCat("fruit_nets.fold is ", study.fold(), ", must be below ",
                                  folds.folds, ": folds count from 0"));
  }
  if (recipe.data().test_share() != 0.0) {
    faults.push_back(absl::StrCat("data.test_share is ", recipe.data().test_share(),
                                  ", must be 0: the test side is the fold that is held out"));
  }
}

void CheckFruits(const v1::FruitNets& study, std::vector<std::string>& faults) {
  std::set<std::string> seen;
  for (const std::string& fruit : study.fruits()) {
    if (fruit.empty()) faults.emplace_back("fruit_nets.fruits: a class without a name");
    if (!seen.insert(fruit).second) {
      faults.push_back(absl::StrCat("fruit_nets.fruits: \"", fruit, "\" is there twice"));
    }
  }
}

}  // namespace

nets::FruitNetOptions FruitNetOptionsOf(const v1::Recipe& recipe, int64_t classes) {
  const v1::FruitNets& study = recipe.fruit_nets();
  return {.trunk = TrunkOf(study.trunk()),
          .attention = AttentionOf(study.attention()),
          .classes = study.fruits().empty() ? classes : 1,
          .side = static_cast<int64_t>(PreprocessingOf(recipe).crop()),
          .dropout = study.has_dropout() ? study.dropout() : kDropout,
          .same_padding = study.same_padding()};
}

FoldOptions FoldsOf(const v1::FruitNets& study) {
  return {.folds = study.folds() == 0 ? kFolds : study.folds(),
          .held_out = study.fold(),
          .raw = study.raw_split()};
}

std::vector<std::string> FruitNetsFaults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  if (recipe.domains_size() > 1) {
    faults.push_back(absl::StrCat("domains: there are ", recipe.domains_size(),
                                  ", study fruit_nets trains the classes of one"));
  }
  if (recipe.domains_size() > 0 && HasTestSide(recipe.domains(0))) {
    faults.push_back(absl::StrCat("domain \"", recipe.domains(0).name(),
                                  "\" has a test side of its own; study fruit_nets deals folds of "
                                  "pictures in folders"));
  }
  CheckNetwork(recipe, faults);
  CheckPretrained(recipe, faults);
  CheckFolds(recipe, faults);
  CheckFruits(recipe.fruit_nets(), faults);
  CheckShare(recipe.fruit_nets().label_smoothing(), "fruit_nets.label_smoothing", faults);
  if (recipe.optimisation().epochs() == 0) {
    faults.emplace_back("optimisation.epochs is 0, must be at least 1: the head begins at random");
  }
  if (!(recipe.optimisation().head_rate() > 0.0)) {
    faults.push_back(absl::StrCat("optimisation.head_rate is ", recipe.optimisation().head_rate(),
                                  ", must be above 0: it is the rate of all that begins at "
                                  "random"));
  }
  return faults;
}

}  // namespace orchard::training
