#include "training/studies/vit_moe/statements.h"

#include "absl/strings/str_cat.h"

#include "nets/network.h"
#include "nets/vit_moe/vit_network.h"
#include "training/recipe.h"
#include "training/recipe_checks.h"

namespace orchard::training {
namespace {

constexpr int64_t kAnyClasses = 2;

void CheckPictures(const v1::Recipe& recipe, int64_t side, std::vector<std::string>& faults) {
  const auto crop = static_cast<int64_t>(PreprocessingOf(recipe).crop());
  if (crop != side) {
    faults.push_back(absl::StrCat("preprocessing.crop is ", crop, ", must be vit_moe.network.side ",
                                  side, ": positions are learned for one size"));
  }
  for (const std::uint32_t trained : recipe.optimisation().sides()) {
    if (trained == static_cast<std::uint32_t>(side)) continue;
    faults.push_back(absl::StrCat("optimisation.sides has ", trained,
                                  ", must be empty or vit_moe.network.side ", side));
  }
}

}  // namespace

nets::VitOptions VitOptionsOf(const v1::Recipe& recipe, int64_t classes) {
  const v1::VitMoe& study = recipe.vit_moe();
  nets::VitOptions options = nets::OptionsOf(study.network(), classes);
  options.dropout = study.dropout();
  options.attention_dropout = study.attention_dropout();
  options.drop_path = study.drop_path();
  return options;
}

std::vector<std::string> VitMoeFaults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  const v1::VitMoe& study = recipe.vit_moe();
  if (recipe.domains_size() > 1) {
    faults.push_back(absl::StrCat("domains: there are ", recipe.domains_size(),
                                  ", study vit_moe trains the classes of one"));
  }
  orchard::v1::Network network;
  *network.mutable_vit_moe() = study.network();
  for (const std::string& fault : nets::NetworkFaults(network)) {
    faults.push_back(absl::StrCat("vit_moe.network: ", fault));
  }
  if (faults.empty()) {  // Else the options mean little.
    const nets::VitOptions options = VitOptionsOf(recipe, kAnyClasses);
    for (const std::string& fault : nets::Faults(options)) {
      faults.push_back(absl::StrCat("vit_moe: ", fault));
    }
    CheckPictures(recipe, options.side, faults);
  }
  CheckShare(study.label_smoothing(), "vit_moe.label_smoothing", faults);
  CheckNotNegative(study.router_losses().balance(), "vit_moe.router_losses.balance", faults);
  CheckNotNegative(study.router_losses().z(), "vit_moe.router_losses.z", faults);
  CheckNotNegative(study.router_losses().norm(), "vit_moe.router_losses.norm", faults);
  if (!v1::Smoothing_IsValid(study.smoothing())) {
    faults.push_back(absl::StrCat("vit_moe.smoothing is ", static_cast<int>(study.smoothing()),
                                  ", must be UNIFORM or OTHERS"));
  }
  if (recipe.optimisation().epochs() == 0) {
    faults.emplace_back("optimisation.epochs is 0, must be at least 1: weights begin at random");
  }
  if (!(recipe.optimisation().head_rate() > 0.0)) {
    faults.push_back(absl::StrCat("optimisation.head_rate is ", recipe.optimisation().head_rate(),
                                  ", must be above 0: it is the rate of all that study vit_moe "
                                  "trains"));
  }
  return faults;
}

nets::RouterLossWeights RouterWeightsOf(const v1::VitMoe& study) {
  const v1::RouterLosses& losses = study.router_losses();
  return {.balance = losses.balance(), .z = losses.z(), .norm = losses.norm()};
}

nets::Smoothing SmoothingOf(const v1::VitMoe& study) {
  return study.smoothing() == v1::OTHERS ? nets::Smoothing::kOthers : nets::Smoothing::kUniform;
}

}  // namespace orchard::training
