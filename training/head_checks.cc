#include "training/head_checks.h"

#include "absl/strings/str_cat.h"

#include "nets/head.h"

namespace orchard::training {

void CheckHead(const orchard::v1::Network& head, const std::string& place, bool pooled,
               std::vector<std::string>& faults) {
  constexpr int64_t kAnyClasses = 2;
  const auto entry = nets::FindHead(head, kAnyClasses);
  if (!entry.ok()) {
    faults.push_back(absl::StrCat(place, ": ", entry.status().message()));
  } else if ((*entry)->feature_kind == core::FeatureKind::kImage) {
    faults.push_back(absl::StrCat(place, ": ", nets::NetworkName(head),
                                  " reads pictures; here it would read the encoder's features"));
  } else if (pooled && (*entry)->feature_kind != core::FeatureKind::kPooled) {
    faults.push_back(absl::StrCat(place, ": ", nets::NetworkName(head),
                                  " reads the map; a gate reads pooled features"));
  }
}

}  // namespace orchard::training
