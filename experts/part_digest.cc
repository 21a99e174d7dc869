#include "experts/part_digest.h"

#include "absl/strings/str_cat.h"

#include "core/digest.h"

namespace orchard::experts {
namespace {

constexpr size_t kDigits = 16;

/// With its length before it: "ab", "c" is not "a", "bc".
void Add(core::Sha256& digest, std::string_view text) {
  digest.Add(absl::StrCat(text.size(), ":"));
  digest.Add(text);
}

}  // namespace

std::string_view NameOf(core::FeatureKind kind) {
  switch (kind) {
    case core::FeatureKind::kPooled:
      return "POOLED";
    case core::FeatureKind::kMap:
      return "MAP";
    case core::FeatureKind::kImage:
      return "IMAGE";
  }
  return "";
}

std::string PartDigest(const std::string& domain, std::span<const std::string> classes,
                       std::span<const std::string> concepts, core::FeatureKind kind) {
  core::Sha256 digest;
  Add(digest, "orchard part 1");  // Another recipe would have another name.
  Add(digest, domain);
  Add(digest, NameOf(kind));
  for (size_t i = 0; i < classes.size(); ++i) {
    Add(digest, classes[i]);
    Add(digest, concepts[i]);
  }
  return digest.Hex().substr(0, kDigits);
}

}  // namespace orchard::experts
