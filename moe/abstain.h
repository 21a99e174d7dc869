#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace orchard::moe {

enum class Outcome : std::uint8_t { kOk, kLowConfidence, kUnknownDomain };

/// "OK", "LOW_CONFIDENCE", "UNKNOWN_DOMAIN".
std::string_view Name(Outcome outcome);

/// Absent thresholds never abstain.
struct Thresholds {
  std::optional<double> unknown = std::nullopt;     ///< of the unknown-domain score
  std::optional<double> confidence = std::nullopt;  ///< of the best concept's probability
};

/// The first that applies, in the order unknown, low. A score equal to its threshold passes.
Outcome Judge(const Thresholds& thresholds, double unknown_score, double best_concept);

}  // namespace orchard::moe
