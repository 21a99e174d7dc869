#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/log_space.h"
#include "moe/combine.h"
#include "moe/plan.h"
#include "moe/policy.h"
#include "tests/unit/moe/picture.h"

/// \file
/// What plan and combine promise together, driven wave by wave as the router does, over random
/// pictures and random faults. Source: models.md section 2.7, the exactness bound.

namespace orchard::moe {
namespace {

/// How each expert will behave: kAnswered, kDown or kFailed.
using Fates = std::vector<ExpertState>;

struct Trace {
  std::vector<size_t> asked;  ///< in order
  std::vector<size_t> answered;
  std::vector<ExpertState> states;
  double best_log_joint = core::kMasked;
  std::vector<double> best_at_turn;  ///< before each ask, shape of `asked`
  std::vector<size_t> missing;
  bool exact = false;
};

Trace Drive(const testing::Picture& picture, const Policy& policy, const Fates& fates) {
  Trace trace;
  for (const ExpertState fate : fates) {
    trace.states.push_back(fate == ExpertState::kDown ? fate : ExpertState::kUnasked);
  }
  while (true) {
    const std::vector<size_t> wave =
        testing::WaveOf(policy, picture.log_domain, trace.states, trace.best_log_joint);
    if (wave.empty()) break;
    for (const size_t g : wave) {
      trace.asked.push_back(g);
      trace.best_at_turn.push_back(trace.best_log_joint);
      trace.states[g] = fates[g];
      if (fates[g] == ExpertState::kAnswered) trace.answered.push_back(g);
    }
    trace.best_log_joint = BestLogJoint(picture.log_domain, picture.Answers(trace.answered));
  }
  trace.missing = Missing(policy, picture.log_domain, trace.states, trace.best_log_joint);
  trace.exact = IsExact(picture.log_domain, trace.states, trace.best_log_joint);
  return trace;
}

Fates AllUp(const testing::Picture& picture) {
  return Fates(picture.domains(), ExpertState::kAnswered);
}

Fates RandomFates(const testing::Picture& picture, std::mt19937_64& random) {
  Fates fates = AllUp(picture);
  for (ExpertState& fate : fates) {
    if (random() % 3 == 0) fate = random() % 2 ? ExpertState::kDown : ExpertState::kFailed;
  }
  return fates;
}

/// The classes, best first, that answered among `answered`.
std::vector<ClassProbability> Classes(const testing::Picture& picture,
                                      const std::vector<size_t>& answered) {
  return Combine(picture.taxonomy, picture.log_domain, picture.Answers(answered), 2)
      .value()
      .classes;
}

/// Whether `first` is a first class of DENSE: the same, or as probable to 1e-6.
bool IsFirstOfDense(const testing::Picture& picture, const ClassProbability& first) {
  const std::vector<ClassProbability> dense =
      Combine(picture.taxonomy, picture.log_domain, picture.Dense(), 1).value().classes;
  return (first.domain == dense[0].domain && first.label == dense[0].label) ||
         std::abs(first.probability - dense[0].probability) < 1e-6;
}

Policy Default(PolicyKind kind, size_t domains, std::mt19937_64& random) {
  const std::optional<size_t> pinned =
      kind == PolicyKind::kPinned ? std::optional<size_t>(random() % domains) : std::nullopt;
  return MakePolicy(kind, {}, {}, pinned, domains).value();
}

TEST(ExactTest, GivesTheFirstClassOfDense) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 5000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const Trace trace = Drive(picture, {.kind = PolicyKind::kExact}, AllUp(picture));
    EXPECT_TRUE(trace.exact);
    EXPECT_TRUE(trace.missing.empty());
    EXPECT_TRUE(IsFirstOfDense(picture, Classes(picture, trace.answered)[0])) << "round " << round;
  }
}

TEST(ExactTest, AsksNoMoreThanTheBoundDemands) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 5000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const Trace trace = Drive(picture, {.kind = PolicyKind::kExact}, RandomFates(picture, random));
    for (size_t i = 0; i < trace.asked.size(); ++i) {
      EXPECT_GT(picture.log_domain[trace.asked[i]], trace.best_at_turn[i]) << "ask " << i;
    }
    // And no other expert that is up comes before one that was asked.
    for (size_t g = 0; g < picture.domains(); ++g) {
      if (trace.states[g] != ExpertState::kUnasked) continue;
      for (const size_t asked : trace.asked) {
        EXPECT_GE(picture.log_domain[asked], picture.log_domain[g]);
      }
    }
  }
}

TEST(ExactTest, IsDegradedIfAndOnlyIfAnExpertItWouldHaveAskedWasDownOrFailed) {
  std::mt19937_64 random(5);
  int degraded = 0;
  for (int round = 0; round < 5000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const Fates fates = RandomFates(picture, random);
    const Trace trace = Drive(picture, {.kind = PolicyKind::kExact}, fates);
    // The same by taking turns: in descending probability, each expert that could still win.
    std::vector<size_t> want;
    double best = core::kMasked;
    for (const size_t g : testing::WantedBy({.kind = PolicyKind::kExact}, picture.log_domain)) {
      if (picture.log_domain[g] <= best) break;
      if (fates[g] != ExpertState::kAnswered) {
        want.push_back(g);
        continue;
      }
      const std::vector<ExpertAnswer> answer = {picture.Answer(g)};
      best = std::max(best, BestLogJoint(picture.log_domain, answer));
    }
    std::ranges::sort(want);
    EXPECT_EQ(trace.missing, want) << "round " << round;
    if (!want.empty()) ++degraded;
  }
  EXPECT_GT(degraded, 500);
  EXPECT_LT(degraded, 4500);
}

TEST(ExactTest, NothingIsMissingIfAndOnlyIfTheAnswerIsExactAndNothingFailed) {
  std::mt19937_64 random(6);
  for (int round = 0; round < 5000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const Trace trace = Drive(picture, {.kind = PolicyKind::kExact}, RandomFates(picture, random));
    const bool failed = std::ranges::count(trace.states, ExpertState::kFailed) > 0;
    EXPECT_EQ(trace.missing.empty(), trace.exact && !failed);
  }
}

// The certificate is sound under every policy and every fault, and is given often enough to matter.
TEST(ExactTest, TheCertificateIsNeverWrong) {
  std::mt19937_64 random(8);
  for (const PolicyKind kind : AllPolicies()) {
    SCOPED_TRACE(std::string(Name(kind)));
    int certified = 0;
    int others = 0;  // Answers without certificate that differ from DENSE: the test can fail.
    for (int round = 0; round < 2000; ++round) {
      const testing::Picture picture = testing::RandomPicture(random);
      const Policy policy = Default(kind, picture.domains(), random);
      const Trace trace = Drive(picture, policy, RandomFates(picture, random));
      if (trace.answered.empty()) {
        EXPECT_FALSE(trace.exact);
        continue;
      }
      const bool same = IsFirstOfDense(picture, Classes(picture, trace.answered)[0]);
      if (trace.exact) {
        EXPECT_TRUE(same) << "round " << round;
        ++certified;
      } else if (!same) {
        ++others;
      }
    }
    EXPECT_GT(certified, 100);
    EXPECT_GT(others, 10);
  }
}

TEST(EveryPolicyTest, MissesWhatItWantedAndDidNotGet) {
  std::mt19937_64 random(9);
  for (const PolicyKind kind : AllPolicies()) {
    SCOPED_TRACE(std::string(Name(kind)));
    for (int round = 0; round < 500; ++round) {
      const testing::Picture picture = testing::RandomPicture(random);
      const Policy policy = Default(kind, picture.domains(), random);
      const Trace whole = Drive(picture, policy, AllUp(picture));
      EXPECT_TRUE(whole.missing.empty());
      const Trace trace = Drive(picture, policy, RandomFates(picture, random));
      EXPECT_TRUE(std::ranges::is_sorted(trace.missing));
      for (const size_t g : trace.missing) EXPECT_NE(trace.states[g], ExpertState::kAnswered);
      for (const size_t g : trace.asked) {
        EXPECT_EQ(std::ranges::count(trace.missing, g),
                  trace.states[g] == ExpertState::kFailed ? 1 : 0);
      }
      if (kind != PolicyKind::kExact) {
        EXPECT_EQ(trace.answered.size() + trace.missing.size(),
                  testing::WantedBy(policy, picture.log_domain).size());
      }
    }
  }
}

}  // namespace
}  // namespace orchard::moe
