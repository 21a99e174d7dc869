#include "training/data/statements.h"

#include "absl/strings/str_cat.h"

#include "training/recipe_checks.h"

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
}

}  // namespace

std::vector<std::string> DataFaults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  CheckShares(recipe.data(), faults);
  CheckNotNegative(recipe.data().class_power(), "data.class_power", faults);
  CheckNotNegative(recipe.data().domain_power(), "data.domain_power", faults);
  CheckAugmentation(recipe.augmentation(), "augmentation", faults);
  for (const v1::Domain& domain : recipe.domains()) {
    CheckSource(domain, faults);
    CheckNotNegative(domain.sampling_factor(), domain.name() + ".sampling_factor", faults);
    CheckAugmentation(domain.augmentation(), domain.name() + ".augmentation", faults);
  }
  return faults;
}

}  // namespace orchard::training
