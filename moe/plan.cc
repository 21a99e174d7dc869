#include "moe/plan.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

#include "core/log_space.h"

namespace orchard::moe {
namespace {

/// The exactness bound of models.md section 2.7: a joint probability never exceeds its domain's.
bool CouldWin(double log_domain, double best_log_joint) { return log_domain > best_log_joint; }

/// kExact's next expert, if it needs one. The most probable unasked one stands for all: when it
/// can't win, none can.
std::optional<size_t> NextExact(std::span<const double> log_domain,
                                std::span<const ExpertState> states, double best_log_joint) {
  std::optional<size_t> next;
  double most_probable = best_log_joint;
  for (size_t g = 0; g < log_domain.size(); ++g) {
    if (states[g] != ExpertState::kUnasked || !CouldWin(log_domain[g], most_probable)) continue;
    most_probable = log_domain[g];
    next = g;
  }
  return next;
}

/// See the header; ascending. What would still be asked counts as missing: the caller ran out of
/// time.
std::vector<size_t> MissingExact(std::span<const double> log_domain,
                                 std::span<const ExpertState> states, double best_log_joint) {
  const std::optional<size_t> next = NextExact(log_domain, states, best_log_joint);
  std::vector<size_t> missing;
  for (size_t g = 0; g < states.size(); ++g) {
    if (states[g] == ExpertState::kFailed || g == next ||
        (states[g] == ExpertState::kDown && CouldWin(log_domain[g], best_log_joint))) {
      missing.push_back(g);
    }
  }
  return missing;
}

}  // namespace

void NextWave(const Policy& policy, std::span<const double> log_domain,
              std::span<const ExpertState> states, double best_log_joint,
              std::vector<size_t>& wave) {
  assert(log_domain.size() == states.size());
  if (policy.kind == PolicyKind::kExact) {
    const std::optional<size_t> next = NextExact(log_domain, states, best_log_joint);
    wave.clear();
    if (next) wave.push_back(*next);
    return;
  }
  Wanted(policy, log_domain, wave);
  std::erase_if(wave, [&](size_t g) { return states[g] != ExpertState::kUnasked; });
}

void PassedOver(const Policy& policy, std::span<const double> log_domain,
                std::span<const ExpertState> states, double best_log_joint,
                std::span<const size_t> wave, std::vector<size_t>& passed) {
  assert(log_domain.size() == states.size());
  if (policy.kind != PolicyKind::kExact) {
    Wanted(policy, log_domain, passed);
    std::erase_if(passed, [&](size_t g) { return states[g] != ExpertState::kDown; });
    return;
  }
  passed.clear();
  const double least = wave.empty() ? best_log_joint : log_domain[wave.front()];
  for (size_t g = 0; g < states.size(); ++g) {
    if (states[g] == ExpertState::kDown && CouldWin(log_domain[g], least)) passed.push_back(g);
  }
}

std::optional<size_t> NextForConcept(const Taxonomy& taxonomy, std::span<const double> log_domain,
                                     std::span<const ExpertState> states, size_t concept_index,
                                     double probability, double least) {
  if (probability >= least) return std::nullopt;
  double reachable = probability;
  std::optional<size_t> next;
  for (size_t g = 0; g < states.size(); ++g) {
    if (states[g] != ExpertState::kUnasked) continue;
    if (std::ranges::find(taxonomy.concept_of[g], concept_index) == taxonomy.concept_of[g].end()) {
      continue;
    }
    reachable += std::exp(log_domain[g]);
    if (!next || log_domain[g] > log_domain[*next]) next = g;
  }
  return reachable >= least ? next : std::nullopt;
}

std::vector<size_t> Missing(const Policy& policy, std::span<const double> log_domain,
                            std::span<const ExpertState> states, double best_log_joint) {
  assert(log_domain.size() == states.size());
  if (policy.kind == PolicyKind::kExact) return MissingExact(log_domain, states, best_log_joint);
  std::vector<size_t> missing;
  Wanted(policy, log_domain, missing);
  std::erase_if(missing, [&](size_t g) { return states[g] == ExpertState::kAnswered; });
  std::ranges::sort(missing);
  return missing;
}

bool IsExact(std::span<const double> log_domain, std::span<const ExpertState> states,
             double best_log_joint) {
  assert(log_domain.size() == states.size());
  if (best_log_joint == core::kMasked) return false;  // Nothing found, so nothing to certify.
  for (size_t g = 0; g < states.size(); ++g) {
    if (states[g] != ExpertState::kAnswered && CouldWin(log_domain[g], best_log_joint)) {
      return false;
    }
  }
  return true;
}

}  // namespace orchard::moe
