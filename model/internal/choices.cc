#include "model/internal/choices.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace orchard::model::internal {

std::vector<Choice> ChoicesOf(const v1::ModelManifest& manifest) {
  const v1::GatesPart& part = manifest.gates();
  std::vector<Choice> choices(1);
  choices[0] = {.prefix = "branch.", .options = {}, .temperature = part.branch_temperature()};
  for (int b = 0; b < part.branches_size(); ++b) {
    choices[0].options.push_back(static_cast<size_t>(b));
    Choice domains{.prefix = absl::StrCat("domain.", part.branches(b), "."),
                   .options = {},
                   .temperature = part.domain_temperatures(b)};
    for (int g = 0; g < manifest.experts_size(); ++g) {
      if (manifest.experts(g).branch() == part.branches(b)) {
        domains.options.push_back(static_cast<size_t>(g));
      }
    }
    choices.push_back(std::move(domains));
  }
  return choices;
}

}  // namespace orchard::model::internal
