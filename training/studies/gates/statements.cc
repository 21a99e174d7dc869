#include "training/studies/gates/statements.h"

#include "absl/strings/str_cat.h"

#include "nets/mobilenet_v2.h"
#include "training/head_checks.h"
#include "training/recipe.h"
#include "training/recipe_checks.h"

namespace orchard::training {
namespace {

constexpr std::uint32_t kCrop = 224;  // pixels; what the encoder was trained on
constexpr std::uint32_t kMostRank = nets::kPooledWidth / 2;
constexpr std::uint32_t kUsualRank = 256;

/// What other studies do with a domain, and this one doesn't.
void CheckDomain(const v1::Domain& domain, std::vector<std::string>& faults) {
  const std::string place = absl::StrCat("domain \"", domain.name(), "\": ");
  if (domain.has_expert()) {
    faults.push_back(
        absl::StrCat(place, "expert must be absent: a finished one is named at export (--expert ",
                     domain.name(), "=MODEL)"));
  }
  if (domain.quota() > 0) {
    faults.push_back(absl::StrCat(place, "quota is ", domain.quota(),
                                  ", must be absent: gates.pictures bounds a domain's pictures"));
  }
  if (domain.has_augmentation() || !domain.mirrors().empty()) {
    faults.push_back(absl::StrCat(
        place, "augmentation and mirrors must be absent: gates learn on the served view alone"));
  }
}

}  // namespace

std::vector<std::string> GatesFaults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  const v1::Gates& gates = recipe.gates();
  if (recipe.domains_size() < 2) {
    faults.push_back(absl::StrCat("domains: there are ", recipe.domains_size(),
                                  ", must be at least 2: gates choose between them"));
  }
  for (const v1::Domain& domain : recipe.domains()) CheckDomain(domain, faults);
  CheckHead(GateNetworkOf(recipe), "gates.gate", /*pooled=*/true, faults);
  if (gates.unknown_rank() > kMostRank) {
    faults.push_back(absl::StrCat("gates.unknown_rank is ", gates.unknown_rank(),
                                  ", must be at most ", kMostRank));
  }
  if (recipe.has_augmentation() || recipe.has_mixing()) {
    faults.emplace_back(
        "augmentation and mixing must be absent: gates learn on the served view alone");
  }
  const v1::Optimisation& o = recipe.optimisation();
  if (o.epochs() == 0) {
    faults.emplace_back("optimisation.epochs is 0, must be at least 1: gates begin at random");
  }
  if (!(o.head_rate() > 0.0)) {
    faults.push_back(absl::StrCat("optimisation.head_rate is ", o.head_rate(),
                                  ", must be above 0: it is the rate of the gates"));
  }
  if (o.encoder_rate() != 0.0 || !o.sides().empty()) {
    faults.emplace_back(
        "optimisation.encoder_rate and sides must be absent: the encoder stays as it is");
  }
  if (const std::uint32_t crop = PreprocessingOf(recipe).crop(); crop != kCrop) {
    faults.push_back(
        absl::StrCat("preprocessing.crop is ", crop, ", must be ", kCrop, ", the encoder's"));
  }
  return faults;
}

orchard::v1::Network GateNetworkOf(const v1::Recipe& recipe) {
  if (recipe.gates().has_gate()) return recipe.gates().gate();
  orchard::v1::Network linear;
  linear.mutable_linear();
  return linear;
}

int64_t UnknownRankOf(const v1::Recipe& recipe) {
  const std::uint32_t rank = recipe.gates().unknown_rank();
  return rank > 0 ? rank : kUsualRank;
}

}  // namespace orchard::training
