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
std::vector<size_t> NextExact(std::span<const double> log_domain,
                              std::span<const ExpertState> states, double best_log_joint) {
  std::vector<size_t> wave;
  double most_probable = best_log_joint;
  for (size_t g = 0; g < log_domain.size(); ++g) {
    if (states[g] != ExpertState::kUnasked || !CouldWin(log_domain[g], most_probable)) continue;
    most_probable = log_domain[g];
    wave.assign(1, g);
  }
  return wave;
}

/// See the header. What would still be asked counts as missing: the caller ran out of time.
std::vector<size_t> MissingExact(std::span<const double> log_domain,
                                 std::span<const ExpertState> states, double best_log_joint) {
  std::vector<size_t> missing = NextExact(log_domain, states, best_log_joint);
  for (size_t g = 0; g < states.size(); ++g) {
    if (states[g] == ExpertState::kFailed ||
        (states[g] == ExpertState::kDown && CouldWin(log_domain[g], best_log_joint))) {
      missing.push_back(g);
    }
  }
  return missing;
}

}  // namespace

std::vector<size_t> NextWave(const Policy& policy, std::span<const double> log_domain,
                             std::span<const ExpertState> states, double best_log_joint) {
  assert(log_domain.size() == states.size());
  if (policy.kind == PolicyKind::kExact) return NextExact(log_domain, states, best_log_joint);
  std::vector<size_t> wave = Wanted(policy, log_domain);
  std::erase_if(wave, [&](size_t g) { return states[g] != ExpertState::kUnasked; });
  return wave;
}

std::vector<size_t> NextForConcept(const Taxonomy& taxonomy, std::span<const double> log_domain,
                                   std::span<const ExpertState> states, size_t concept_index,
                                   double probability, double least) {
  if (probability >= least) return {};
  double reachable = probability;
  std::vector<size_t> wave;
  for (size_t g = 0; g < states.size(); ++g) {
    if (states[g] != ExpertState::kUnasked) continue;
    if (std::ranges::find(taxonomy.concept_of[g], concept_index) == taxonomy.concept_of[g].end()) {
      continue;
    }
    reachable += std::exp(log_domain[g]);
    if (wave.empty() || log_domain[g] > log_domain[wave.front()]) wave.assign(1, g);
  }
  return reachable >= least ? wave : std::vector<size_t>();
}

std::vector<size_t> Missing(const Policy& policy, std::span<const double> log_domain,
                            std::span<const ExpertState> states, double best_log_joint) {
  assert(log_domain.size() == states.size());
  std::vector<size_t> missing;
  if (policy.kind == PolicyKind::kExact) {
    missing = MissingExact(log_domain, states, best_log_joint);
  } else {
    missing = Wanted(policy, log_domain);
    std::erase_if(missing, [&](size_t g) { return states[g] == ExpertState::kAnswered; });
  }
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
