#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"

namespace orchard::nets {

/// Adds "<what> <name> is <value>, must be <limit>" to `faults` unless `holds`. One sentence a
/// wrong value, so that every fault of an options struct can be reported at once.
template <typename T>
void Require(bool holds, std::string_view name, T value, std::string_view limit,
             std::vector<std::string>& faults) {
  if (holds) return;
  faults.push_back(
      absl::StrCat(std::string(name), " is ", value, ", must be ", std::string(limit)));
}

/// Integers in [low, high].
inline void RequireWithin(int64_t low, int64_t high, std::string_view name, int64_t value,
                          std::vector<std::string>& faults) {
  Require(low <= value && value <= high, name, value, absl::StrCat("from ", low, " to ", high),
          faults);
}

/// Reals in [low, high]; NaN is outside.
inline void RequireShare(double low, double high, std::string_view name, double value,
                         std::vector<std::string>& faults) {
  Require(low <= value && value <= high, name, value, absl::StrCat("from ", low, " to ", high),
          faults);
}

}  // namespace orchard::nets
