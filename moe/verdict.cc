#include "moe/verdict.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace orchard::moe {
namespace {

// models.md section 4.3.
constexpr double kLeastInformation = 0.02;
constexpr double kMostTokenEntropy = 0.98;
constexpr double kLeastDistance = 0.05;
constexpr double kLeastAccuracyLost = 0.2;
constexpr double kShuffleSignificance = 0.05;
constexpr double kLeastClassInformation = 0.02;
constexpr double kClassSignificance = 0.01;

std::optional<Judgement> Collapsed(const LayerSums& sums, const LayerMeasures& measures) {
  const auto experts = static_cast<double>(sums.picks.size());
  const auto k = static_cast<double>(sums.top_k);
  if (!(k < experts)) return std::nullopt;  // All experts work for every token.
  const char* const advice = "raise the balance loss's weight, or take the loss-free bias";
  const double bound = k + 0.25 * (experts - k);
  if (measures.effective_experts <= bound) {
    return Judgement{Verdict::kCollapsed,
                     absl::StrFormat("%.2f effective experts, at most %.2f of %.0f",
                                     measures.effective_experts, bound, experts),
                     advice};
  }
  if (static_cast<double>(measures.dead) >= 0.25 * experts) {
    return Judgement{Verdict::kCollapsed,
                     absl::StrFormat("%d dead experts of %.0f", measures.dead, experts), advice};
  }
  if (measures.max_over_mean >= 0.8 * experts / k) {
    return Judgement{Verdict::kCollapsed,
                     absl::StrFormat("the largest load is %.2f times the mean, limit %.2f",
                                     measures.max_over_mean, 0.8 * experts / k),
                     advice};
  }
  return std::nullopt;
}

std::optional<Judgement> Indifferent(const LayerMeasures& measures) {
  const bool uninformed = measures.gate_information < kLeastInformation;
  if (!uninformed && !(measures.token_entropy > kMostTokenEntropy)) return std::nullopt;
  Judgement judgement{
      Verdict::kIndifferent,
      uninformed ? absl::StrFormat("gate information %.4f, below %.2f", measures.gate_information,
                                   kLeastInformation)
                 : absl::StrFormat("token entropy %.4f, above %.2f", measures.token_entropy,
                                   kMostTokenEntropy),
      "remove a penalty on the router's norm, normalise its input, or lower its temperature"};
  if (std::abs(measures.balance - 1.0) < 0.02) {
    absl::StrAppendFormat(&judgement.reason, "; B = %.4f is uninformative", measures.balance);
  }
  return judgement;
}

std::optional<Judgement> Redundant(const LayerEvidence& evidence) {
  const char* const advice = "lower the balance loss's weight, or initialise the experts apart";
  if (evidence.median_distance && *evidence.median_distance < kLeastDistance) {
    return Judgement{Verdict::kRedundant,
                     absl::StrFormat("median distance of experts %.4f, below %.2f",
                                     *evidence.median_distance, kLeastDistance),
                     advice};
  }
  if (evidence.shuffle && std::abs(evidence.shuffle->accuracy_lost) < kLeastAccuracyLost &&
      evidence.shuffle->p_value > kShuffleSignificance) {
    return Judgement{Verdict::kRedundant,
                     absl::StrFormat("shuffled experts change the accuracy by %.2f points, p %.3f",
                                     evidence.shuffle->accuracy_lost, evidence.shuffle->p_value),
                     advice};
  }
  return std::nullopt;
}

std::optional<Judgement> Weak(const LayerEvidence& evidence) {
  if (!evidence.classes) return std::nullopt;
  const double information = evidence.classes->information.normalised;
  const double p = evidence.classes->p_value;
  if (information >= kLeastClassInformation && p < kClassSignificance) return std::nullopt;
  return Judgement{Verdict::kWeak,
                   absl::StrFormat("normalised class information %.4f (at least %.2f), p %.4f "
                                   "(below %.2f)",
                                   information, kLeastClassInformation, p, kClassSignificance),
                   ""};
}

}  // namespace

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kCollapsed:
      return "COLLAPSED";
    case Verdict::kIndifferent:
      return "INDIFFERENT";
    case Verdict::kRedundant:
      return "REDUNDANT";
    case Verdict::kWeak:
      return "WEAK";
    case Verdict::kUnknown:
      return "UNKNOWN";
    case Verdict::kHealthy:
      return "HEALTHY";
  }
  return "UNKNOWN";
}

Judgement Judge(const LayerEvidence& evidence) {
  if (!(evidence.sums.tokens >= kTokensToJudge) || evidence.pictures < kPicturesToJudge) {
    return {
        Verdict::kUnknown,
        absl::StrFormat("%.0f tokens of %d pictures; a verdict needs %.0f of %d",
                        evidence.sums.tokens, evidence.pictures, kTokensToJudge, kPicturesToJudge),
        "measure over more pictures"};
  }
  const LayerMeasures measures = Measure(evidence.sums);
  if (auto judgement = Collapsed(evidence.sums, measures)) return *judgement;
  if (auto judgement = Indifferent(measures)) return *judgement;
  if (auto judgement = Redundant(evidence)) return *judgement;
  if (auto judgement = Weak(evidence)) return *judgement;
  if (!evidence.classes || !(evidence.median_distance || evidence.shuffle)) {
    return {Verdict::kUnknown, "neither collapsed nor indifferent; the rest was not measured",
            "measure the distances of experts and their information about classes"};
  }
  return {Verdict::kHealthy,
          absl::StrFormat("%.2f effective experts, gate information %.3f, class information %.3f",
                          measures.effective_experts, measures.gate_information,
                          evidence.classes->information.normalised),
          ""};
}

std::string Summarise(std::span<const Verdict> layers) {
  if (layers.empty()) return std::string(NameOf(Verdict::kUnknown));
  std::map<Verdict, int> counts;
  for (const Verdict verdict : layers) ++counts[verdict];
  std::vector<std::string> parts;
  for (const auto& [verdict, count] : counts) {
    parts.push_back(absl::StrCat(count, " ", absl::AsciiStrToLower(std::string(NameOf(verdict)))));
  }
  return absl::StrCat(std::string(NameOf(counts.begin()->first)), " (", absl::StrJoin(parts, ", "),
                      ")");
}

}  // namespace orchard::moe
