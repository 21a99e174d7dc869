#pragma once

#include <string>

#include "training/measure/evaluate.h"

namespace orchard::training {

/// For people: tables with counts and 95 % intervals.
std::string ToText(const Report& report);

/// The same as one JSON object, snake_case, every field always there; what was not measured (a
/// domain without pictures, no flat head, no unknown pictures) is null.
std::string ToJson(const Report& report);

}  // namespace orchard::training
