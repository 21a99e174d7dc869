#include "model/internal/unknown_spec.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace orchard::model::internal {
namespace {

constexpr const char* kPlain = "mahalanobis";
constexpr const char* kRelative = "relative_mahalanobis";

struct Argument {
  const char* name;
  int low;
  int high;
};
constexpr Argument kArguments[] = {
    {"rank", 1, 1280}, {"shrink_percent", 0, 100}, {"root", 0, 1}, {"normalise", 0, 1}};

absl::Status CheckArgument(const std::string& kind, const std::string& name, int value) {
  const auto* const known =
      std::ranges::find_if(kArguments, [&](const Argument& a) { return name == a.name; });
  if (known == std::end(kArguments)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown score ", kind, " takes no argument \"", name,
                     "\"; known: rank, shrink_percent, root, normalise"));
  }
  if (value < known->low || value > known->high) {
    return absl::InvalidArgumentError(absl::StrCat("unknown score ", kind, ": argument ", name,
                                                   " is ", value, ", must be in [", known->low,
                                                   ", ", known->high, "]"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UnknownSpec> ParseUnknownSpec(const v1::UnknownScore& spec) {
  if (spec.kind() != kPlain && spec.kind() != kRelative) {
    return absl::InvalidArgumentError(absl::StrCat("unknown kind of unknown-domain score \"",
                                                   spec.kind(), "\"; known: ", kPlain, ", ",
                                                   kRelative));
  }
  for (const auto& [name, value] : spec.arguments()) {
    absl::Status status = CheckArgument(spec.kind(), name, value);
    if (!status.ok()) return status;
  }
  const auto get = [&spec](const char* name, int fallback) {
    const auto found = spec.arguments().find(name);
    return found == spec.arguments().end() ? fallback : found->second;
  };
  return UnknownSpec{.relative = spec.kind() == kRelative,
                     .rank = get("rank", 128),
                     .shrink = get("shrink_percent", 10) / 100.0,
                     .root = get("root", 0) == 1,
                     .normalise = get("normalise", 0) == 1};
}

void Transform(const UnknownSpec& spec, std::vector<float>& row) {
  if (spec.root) {
    // Pooled features are means of ReLU6, so never negative; a rounding error below 0 counts as 0.
    for (float& value : row) value = std::sqrt(std::max(value, 0.0F));
  }
  if (!spec.normalise) return;
  double squares = 0.0;
  for (const float value : row) squares += double{value} * double{value};
  if (squares == 0.0) return;  // A row without a direction stays at the origin.
  const auto scale = static_cast<float>(1.0 / std::sqrt(squares));
  for (float& value : row) value *= scale;
}

}  // namespace orchard::model::internal
