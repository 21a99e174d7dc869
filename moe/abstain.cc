#include "moe/abstain.h"

namespace orchard::moe {

std::string_view Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "OK";
    case Outcome::kLowConfidence:
      return "LOW_CONFIDENCE";
    case Outcome::kUnknownDomain:
      return "UNKNOWN_DOMAIN";
  }
  return "";  // Not reached: the switch is complete.
}

Outcome Judge(const Thresholds& thresholds, double unknown_score, double best_concept) {
  // "Not at least" instead of "less": a NaN must not pass.
  if (thresholds.unknown && !(unknown_score >= *thresholds.unknown)) return Outcome::kUnknownDomain;
  if (thresholds.confidence && !(best_concept >= *thresholds.confidence)) {
    return Outcome::kLowConfidence;
  }
  return Outcome::kOk;
}

}  // namespace orchard::moe
