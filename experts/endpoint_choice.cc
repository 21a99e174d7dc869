#include "experts/endpoint_choice.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

namespace orchard::experts {
namespace {

constexpr std::int64_t kSameRows = 2;  // less is no imbalance
constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15U;

/// 32 uniform bits → 0 to count - 1.
size_t Below(size_t count, std::uint64_t bits) {
  return static_cast<size_t>((bits & 0xFFFFFFFFU) * count >> 32);
}

/// Nobody of a later rank is asked while there is one of an earlier.
enum class Rank : std::uint8_t { kReady, kResting, kUnconnected };

Rank RankOf(const Candidate& candidate) {
  if (!candidate.connected) return Rank::kUnconnected;
  return candidate.resting ? Rank::kResting : Rank::kReady;
}

}  // namespace

void ForgetDebts(std::span<Candidate> candidates) {
  std::int64_t most = 0;
  for (const Candidate& candidate : candidates) most = std::max(most, candidate.given);
  for (Candidate& candidate : candidates) {
    const bool in_turn = candidate.usable && RankOf(candidate) == Rank::kReady;
    if (!in_turn || candidate.given == kNeverGiven) candidate.given = most;
  }
}

bool Fits(const Candidate& candidate, AttemptRecord::Kind kind) {
  switch (kind) {
    case AttemptRecord::Kind::kFirst:
      return true;
    case AttemptRecord::Kind::kRetry:
      return !candidate.resting;
    case AttemptRecord::Kind::kHedge:
      return candidate.up && !candidate.resting;
  }
  return true;
}

std::optional<size_t> Pick(std::span<const Candidate> candidates, std::uint64_t chance) {
  absl::InlinedVector<size_t, 16> found;
  for (const Rank rank : {Rank::kReady, Rank::kResting, Rank::kUnconnected}) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (candidates[i].usable && RankOf(candidates[i]) == rank) found.push_back(i);
    }
    if (!found.empty()) break;
  }
  if (found.empty()) return std::nullopt;
  const size_t first = Below(found.size(), chance >> 32);
  if (found.size() == 1) return found[first];
  const size_t second = (first + 1 + Below(found.size() - 1, chance)) % found.size();
  const Candidate& a = candidates[found[first]];
  const Candidate& b = candidates[found[second]];
  if (a.cost > kEqualCosts * b.cost) return found[second];
  if (b.cost > kEqualCosts * a.cost) return found[first];
  return found[b.given + kSameRows < a.given ? second : first];
}

std::uint64_t Chance(std::uint64_t count) {
  std::uint64_t x = (count + 1) * kGoldenRatio;
  const std::uint64_t even = x & 0xFFFFFFFF00000000U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return even | ((x ^ (x >> 31)) & 0xFFFFFFFFU);
}

}  // namespace orchard::experts
