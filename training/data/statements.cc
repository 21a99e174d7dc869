#include "training/data/statements.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "training/recipe.h"
#include "training/recipe_checks.h"
#include "vision/augment.h"
#include "vision/rand_augment.h"

namespace orchard::training {
namespace {

/// Each share, and that something is left to train on.
void CheckShares(const v1::Data& data, std::vector<std::string>& faults) {
  CheckShare(data.validation_share(), "data.validation_share", faults);
  CheckShare(data.test_share(), "data.test_share", faults);
  if (const double both = data.validation_share() + data.test_share(); both >= 1.0) {
    faults.push_back(absl::StrCat("data.validation_share + data.test_share is ", both,
                                  ", must be under 1: nothing would be left to train on"));
  }
}

void CheckSource(const v1::Domain& domain, std::vector<std::string>& faults) {
  constexpr std::uint32_t kLargestSide = 1024;
  constexpr std::uint32_t kBatches = 5;
  const std::string owner = domain.name();
  if (domain.has_gtsrb()) {
    const v1::Gtsrb& gtsrb = domain.gtsrb();
    CheckShare(gtsrb.roi_margin(), owner + ".gtsrb.roi_margin", faults);
    if (gtsrb.side() > kLargestSide) {
      faults.push_back(
          absl::StrCat(owner, ".gtsrb.side is ", gtsrb.side(), ", must be at most ", kLargestSide));
    }
  }
  if (domain.has_cifar10() && domain.cifar10().validation_batch() > kBatches) {
    faults.push_back(absl::StrCat(owner, ".cifar10.validation_batch is ",
                                  domain.cifar10().validation_batch(), ", must be at most ",
                                  kBatches, " (0: a share of each class)"));
  }
}

void CheckAugmentation(const v1::Augmentation& a, const std::string& owner,
                       std::vector<std::string>& faults) {
  const auto positive_share = [&](bool set, double value, const char* name) {
    if (set && !(value > 0.0 && value <= 1.0)) {
      faults.push_back(absl::StrCat(owner, ".", name, " is ", value, ", must be in (0, 1]"));
    }
  };
  positive_share(a.has_min_area(), a.min_area(), "min_area");
  positive_share(a.has_min_aspect(), a.min_aspect(), "min_aspect");
  CheckShare(a.horizontal_flip(), owner + ".horizontal_flip", faults);
  CheckShare(a.vertical_flip(), owner + ".vertical_flip", faults);
  CheckShare(a.transpose(), owner + ".transpose", faults);
  CheckShare(a.erasing(), owner + ".erasing", faults);
  CheckShare(a.brightness(), owner + ".brightness", faults);
  CheckShare(a.contrast(), owner + ".contrast", faults);
  CheckShare(a.saturation(), owner + ".saturation", faults);
  CheckShare(a.hue(), owner + ".hue", faults);
  const auto at_most = [&](double value, double most, const char* name) {
    if (value >= 0.0 && value <= most) return;
    faults.push_back(absl::StrCat(owner, ".", name, " is ", value, ", must be in [0, ", most, "]"));
  };
  constexpr double kMostPad = 64;
  constexpr double kMostOperations = 8;
  at_most(a.rotation(), 180, "rotation");
  at_most(a.pad(), kMostPad, "pad");
  at_most(a.rand_augment().operations(), kMostOperations, "rand_augment.operations");
  at_most(a.rand_augment().magnitude(), vision::kMostMagnitude, "rand_augment.magnitude");
  CheckShare(a.jpeg(), owner + ".jpeg", faults);
  CheckShare(a.weather(), owner + ".weather", faults);
  if (a.has_jpeg_quality() && (a.jpeg_quality() < 1 || a.jpeg_quality() > 100)) {
    faults.push_back(
        absl::StrCat(owner, ".jpeg_quality is ", a.jpeg_quality(), ", must be in [1, 100]"));
  }
}

/// What holds for the augmentation of a domain, the recipe's and its own together.
void CheckMerged(const v1::Recipe& recipe, const v1::Domain& domain,
                 std::vector<std::string>& faults) {
  const v1::Augmentation a = AugmentationOf(recipe, domain);
  const vision::Augmentation defaults;
  const double least = a.has_erasing_min_area() ? a.erasing_min_area() : defaults.erasing_min_area;
  const double most = a.has_erasing_max_area() ? a.erasing_max_area() : defaults.erasing_max_area;
  if (!(least > 0.0 && least <= most && most <= 1.0)) {
    faults.push_back(absl::StrCat("augmentation of domain \"", domain.name(),
                                  "\": erasing_min_area is ", least, ", erasing_max_area ", most,
                                  "; must be in (0, 1], the first at most the second"));
  }
  if (!domain.has_gtsrb()) return;
  if (a.horizontal_flip() > 0.0 && domain.mirrors().empty()) {
    faults.push_back(absl::StrCat(
        "augmentation of domain \"", domain.name(), "\": horizontal_flip is ", a.horizontal_flip(),
        ": left and right mean something on signs; say in mirrors which classes may be flipped"));
  }
  if (a.vertical_flip() > 0.0 || a.transpose() > 0.0) {
    faults.push_back(absl::StrCat("augmentation of domain \"", domain.name(),
                                  "\": signs can't be turned over; vertical_flip is ",
                                  a.vertical_flip(), ", transpose ", a.transpose(),
                                  ", both must be 0"));
  }
}

void CheckMixing(const v1::Mixing& m, std::vector<std::string>& faults) {
  constexpr double kMostAlpha = 2.0;  // What is drawn by rejection would take for ever beyond.
  CheckShare(m.cutmix(), "mixing.cutmix", faults);
  CheckShare(m.mixup(), "mixing.mixup", faults);
  if (m.cutmix() + m.mixup() > 1.0) {
    faults.push_back(absl::StrCat("mixing.cutmix + mixing.mixup is ", m.cutmix() + m.mixup(),
                                  ", must be at most 1: a batch is mixed in one way"));
  }
  for (const auto& [name, alpha] :
       {std::pair{"cutmix_alpha", m.cutmix_alpha()}, std::pair{"mixup_alpha", m.mixup_alpha()}}) {
    if (alpha >= 0.0 && alpha <= kMostAlpha) continue;
    faults.push_back(
        absl::StrCat("mixing.", name, " is ", alpha, ", must be in [0, ", kMostAlpha, "]"));
  }
}

}  // namespace

std::vector<std::string> DataFaults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  CheckShares(recipe.data(), faults);
  if (!v1::Dealing_IsValid(recipe.data().dealing())) {
    faults.push_back(absl::StrCat("data.dealing is ", static_cast<int>(recipe.data().dealing()),
                                  ", must be RANKED or HASHED"));
  }
  CheckNotNegative(recipe.data().class_power(), "data.class_power", faults);
  CheckNotNegative(recipe.data().domain_power(), "data.domain_power", faults);
  CheckAugmentation(recipe.augmentation(), "augmentation", faults);
  for (const v1::Domain& domain : recipe.domains()) {
    CheckSource(domain, faults);
    CheckNotNegative(domain.sampling_factor(), domain.name() + ".sampling_factor", faults);
    CheckAugmentation(domain.augmentation(), domain.name() + ".augmentation", faults);
    CheckMerged(recipe, domain, faults);
  }
  CheckMixing(recipe.mixing(), faults);
  return faults;
}

}  // namespace orchard::training
