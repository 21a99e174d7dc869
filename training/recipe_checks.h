#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

/// \file
/// What statements of recipes have in common: each notes its fault with value and limit.

namespace orchard::training {

/// Names become folders, file names, metric labels and parts of tensor names.
inline bool IsName(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
}

/// In [0, 1].
inline void CheckShare(double value, const std::string& name, std::vector<std::string>& faults) {
  if (!(value >= 0.0 && value <= 1.0)) {  // NaN too.
    faults.push_back(absl::StrCat(name, " is ", value, ", must be in [0, 1]"));
  }
}

/// Finite, at least 0.
inline void CheckNotNegative(double value, const std::string& name,
                             std::vector<std::string>& faults) {
  if (!(value >= 0.0 && std::isfinite(value)))
    faults.push_back(absl::StrCat(name, " is ", value, ", must be finite and at least 0"));
}

/// In [0, 1).
inline void CheckPart(double value, const std::string& name, std::vector<std::string>& faults) {
  if (value >= 0.0 && value < 1.0) return;
  faults.push_back(absl::StrCat(name, " is ", value, ", must be in [0, 1)"));
}

}  // namespace orchard::training
