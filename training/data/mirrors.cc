#include "training/data/mirrors.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "core/status.h"

namespace orchard::training {
namespace {

absl::StatusOr<size_t> ClassOf(const std::string& name, const DomainClasses& domain) {
  const auto found = std::ranges::find(domain.classes, name);
  if (found != domain.classes.end()) return static_cast<size_t>(found - domain.classes.begin());
  size_t index = 0;
  if (absl::SimpleAtoi(name, &index) && index < domain.classes.size()) return index;
  return absl::InvalidArgumentError(
      absl::StrCat("mirrors of domain \"", domain.name, "\": there is no class \"", name,
                   "\"; give its name, or its index below ", domain.classes.size()));
}

}  // namespace

absl::StatusOr<Mirrors> MirrorsOf(const v1::Domain& domain, const DomainClasses& classes) {
  Mirrors mirrors;
  if (domain.mirrors().empty()) return mirrors;
  mirrors.of.resize(classes.classes.size());
  for (const v1::Mirror& mirror : domain.mirrors()) {
    ORCHARD_ASSIGN_OR_RETURN(const size_t one, ClassOf(mirror.one(), classes));
    size_t other = one;
    if (!mirror.other().empty()) {
      ORCHARD_ASSIGN_OR_RETURN(other, ClassOf(mirror.other(), classes));
    }
    if (mirrors.of[one] || mirrors.of[other]) {
      return absl::InvalidArgumentError(absl::StrCat("mirrors of domain \"", classes.name, "\": \"",
                                                     classes.classes[mirrors.of[one] ? one : other],
                                                     "\" is there twice"));
    }
    mirrors.of[one] = other;
    mirrors.of[other] = one;
  }
  return mirrors;
}

}  // namespace orchard::training
