#include "training/studies/masked_moe/statements.h"

#include "absl/strings/str_cat.h"

#include "nets/mobilenet_v2.h"
#include "training/head_checks.h"
#include "training/recipe_checks.h"

namespace orchard::training {

std::vector<std::string> MaskedMoeFaults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  const v1::MaskedMoe& m = recipe.masked_moe();
  for (const v1::Domain& domain : recipe.domains()) {
    CheckHead(domain.expert(), absl::StrCat("domain \"", domain.name(), "\": expert"),
              /*pooled=*/false, faults);
    if (domain.has_gtsrb() || domain.has_cifar10()) {
      faults.push_back(absl::StrCat("domain \"", domain.name(),
                                    "\": masked_moe reads folders of pictures alone"));
    }
    if (!domain.mirrors().empty()) {
      faults.push_back(absl::StrCat("domain \"", domain.name(), "\": masked_moe knows no mirrors"));
    }
  }
  CheckHead(GateOf(recipe), "masked_moe.gate", /*pooled=*/true, faults);
  if (recipe.mixing().cutmix() > 0.0 || recipe.mixing().mixup() > 0.0) {
    faults.emplace_back("mixing: masked_moe learns from pictures of one domain each, unmixed");
  }
  const v1::Losses& losses = m.losses();
  CheckNotNegative(losses.branch(), "masked_moe.losses.branch", faults);
  CheckNotNegative(losses.domain(), "masked_moe.losses.domain", faults);
  CheckNotNegative(losses.expert(), "masked_moe.losses.expert", faults);
  CheckShare(losses.label_smoothing(), "masked_moe.losses.label_smoothing", faults);
  CheckNotNegative(m.head_epoch_rate(), "masked_moe.head_epoch_rate", faults);
  CheckNotNegative(m.refit_rate(), "masked_moe.refit_rate", faults);
  CheckNotNegative(m.refit_decay(), "masked_moe.refit_decay", faults);
  CheckNotNegative(m.tail_rate(), "masked_moe.tail_rate", faults);
  CheckPart(m.head_dropout(), "masked_moe.head_dropout", faults);
  CheckPart(m.start_share(), "masked_moe.start_share", faults);
  if (m.linear_heads() && m.refit_epochs() == 0) {
    faults.emplace_back(
        "masked_moe.linear_heads is set and refit_epochs is 0: nothing would make the heads that "
        "the "
        "recipe names");
  }
  if (m.frozen_blocks() > nets::kEncoderBlocks) {
    faults.push_back(absl::StrCat("masked_moe.frozen_blocks is ", m.frozen_blocks(),
                                  ", must be at most ", nets::kEncoderBlocks));
  }
  return faults;
}

orchard::v1::Network GateOf(const v1::Recipe& recipe) {
  if (recipe.masked_moe().has_gate()) return recipe.masked_moe().gate();
  orchard::v1::Network mlp;
  mlp.mutable_mlp();
  return mlp;
}

v1::Recipe WithLinearHeads(v1::Recipe recipe) {
  recipe.mutable_masked_moe()->mutable_gate()->mutable_linear();
  for (v1::Domain& domain : *recipe.mutable_domains()) domain.mutable_expert()->mutable_linear();
  return recipe;
}

}  // namespace orchard::training
