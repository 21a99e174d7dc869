#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "model/manifest.h"

/// \file
/// What statements of recipes have in common: each notes its fault with value and limit.

namespace orchard::training {

using model::IsName;  // What a recipe names becomes a model's.

inline void CheckName(const std::string& name, const std::string& place,
                      std::vector<std::string>& faults) {
  if (IsName(name)) return;
  faults.push_back(absl::StrCat(
      place, " \"", name, "\" must be letters, digits, '_' and '-', as models are served by"));
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
