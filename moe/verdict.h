#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "moe/specialisation.h"

/// \file
/// What may be said of a router, beyond a balance loss near 1 (models.md section 4.3).

namespace orchard::moe {

/// From the worst to the best.
enum class Verdict {
  kCollapsed,    ///< few experts do the work
  kIndifferent,  ///< the router hardly distinguishes tokens
  kRedundant,    ///< the experts do the same
  kWeak,         ///< the choice has little to do with the classes
  kUnknown,      ///< too few tokens or pictures, or a measure is missing
  kHealthy,
};

/// "COLLAPSED", …
std::string_view NameOf(Verdict verdict);

/// What happens to the accuracy when each token's experts are permuted, loads kept.
struct ShuffleTest {
  double accuracy_lost = 0.0;  ///< points, 0 to 100
  double p_value = 1.0;        ///< McNemar
};

struct LayerEvidence {
  LayerSums sums{};
  size_t pictures = 0;
  std::optional<double> median_distance{};  ///< of pairs of experts; nets/sparse/token_layer.h
  std::optional<ShuffleTest> shuffle{};
  std::optional<ClassInformation> classes{};
};

struct Judgement {
  Verdict verdict = Verdict::kUnknown;
  std::string reason{};  ///< the figure and the limit that decided
  std::string advice{};  ///< what to change; empty when there is nothing to say
};

inline constexpr double kTokensToJudge = 20'000;
inline constexpr size_t kPicturesToJudge = 500;

/// The tests in the order of `Verdict`. A layer that passes those that can be made is kHealthy only
/// if distances (or the shuffle test) and class information were given, else kUnknown.
Judgement Judge(const LayerEvidence& evidence);

/// The worst of the layers, with counts: "COLLAPSED (1 collapsed, 2 indifferent, 6 healthy)" names
/// them from the worst to the best.
std::string Summarise(std::span<const Verdict> layers);

}  // namespace orchard::moe
