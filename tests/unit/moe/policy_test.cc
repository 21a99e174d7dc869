#include "moe/policy.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/moe/picture.h"

namespace orchard::moe {
namespace {

using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;

Policy Make(PolicyKind kind, size_t domains, std::optional<size_t> k = {},
            std::optional<double> tau = {}) {
  const std::optional<size_t> pinned =
      kind == PolicyKind::kPinned ? std::optional<size_t>(domains - 1) : std::nullopt;
  return MakePolicy(kind, k, tau, pinned, domains).value();
}

// What holds for every policy, walked over all there are: a new one is tested by existing.
TEST(PolicyRegistryTest, EveryPolicyHasANameADefaultAndASoundChoice) {
  EXPECT_THAT(AllPolicies(), SizeIs(7));
  std::mt19937_64 random(20240117);
  std::set<std::string_view> names;
  for (const PolicyKind kind : AllPolicies()) {
    SCOPED_TRACE(std::string(Name(kind)));
    EXPECT_TRUE(names.insert(Name(kind)).second) << "a name of its own";
    for (int round = 0; round < 200; ++round) {
      const testing::Picture picture = testing::RandomPicture(random);
      const Policy policy = Make(kind, picture.domains());
      const std::vector<size_t> wanted = testing::WantedBy(policy, picture.log_domain);
      ASSERT_THAT(wanted, SizeIs(AllOf(Ge(1u), Le(picture.domains()))));
      EXPECT_EQ(std::set(wanted.begin(), wanted.end()).size(), wanted.size());
      if (kind == PolicyKind::kDense) continue;  // Order means nothing to it.
      for (size_t i = 1; i < wanted.size(); ++i) {
        EXPECT_GE(picture.log_domain[wanted[i - 1]], picture.log_domain[wanted[i]]);
      }
    }
  }
}

struct WantedCase {
  std::string name;
  Policy policy;
  std::vector<size_t> want;
};

class WantedTest : public ::testing::TestWithParam<WantedCase> {};

// models.md section 10, check 2: q = (.42, .21, .07, .24, .06).
TEST_P(WantedTest, ChoosesAsInTheWorkedExample) {
  const testing::Picture picture = testing::WorkedExample();
  EXPECT_EQ(testing::WantedBy(GetParam().policy, picture.log_domain), GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Check2, WantedTest,
    ::testing::Values(
        WantedCase{"Hard", {.kind = PolicyKind::kHard}, {0}},
        WantedCase{"TopTwo", {.kind = PolicyKind::kTopK, .k = 2}, {0, 3}},
        WantedCase{"TopAll", {.kind = PolicyKind::kTopK, .k = 5}, {0, 3, 1, 2, 4}},
        WantedCase{"Threshold20", {.kind = PolicyKind::kThreshold, .tau = 0.2}, {0, 3, 1}},
        WantedCase{
            "ThresholdThatADomainEquals", {.kind = PolicyKind::kThreshold, .tau = 0.21}, {0, 3, 1}},
        WantedCase{"ThresholdAboveAllKeepsTheMostProbable",
                   {.kind = PolicyKind::kThreshold, .tau = 0.5},
                   {0}},
        WantedCase{"Nucleus60", {.kind = PolicyKind::kNucleus, .tau = 0.6}, {0, 3}},
        WantedCase{
            "Nucleus66IsNotSpoiltByRounding", {.kind = PolicyKind::kNucleus, .tau = 0.66}, {0, 3}},
        WantedCase{"Nucleus70", {.kind = PolicyKind::kNucleus, .tau = 0.7}, {0, 3, 1}},
        WantedCase{"NucleusWhole", {.kind = PolicyKind::kNucleus, .tau = 1.0}, {0, 3, 1, 2, 4}},
        WantedCase{"Dense", {.kind = PolicyKind::kDense}, {0, 1, 2, 3, 4}},
        WantedCase{"Exact", {.kind = PolicyKind::kExact}, {0, 3, 1, 2, 4}},
        WantedCase{"Pinned", {.kind = PolicyKind::kPinned, .pinned = 2}, {2}}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(WantedTest, TiesGoToTheLowerIndex) {
  const std::vector<double> log_domain = testing::Logs({0.2, 0.3, 0.2, 0.3});
  EXPECT_THAT(testing::WantedBy({.kind = PolicyKind::kExact}, log_domain), ElementsAre(1, 3, 0, 2));
  EXPECT_THAT(testing::WantedBy({.kind = PolicyKind::kHard}, log_domain), ElementsAre(1));
}

bool IsSubset(std::vector<size_t> small, std::vector<size_t> large) {
  std::ranges::sort(small);
  std::ranges::sort(large);
  return std::ranges::includes(large, small);
}

TEST(WantedTest, ChoicesAreNested) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 1000; ++round) {
    const testing::Picture picture = testing::RandomPicture(random);
    const auto wanted = [&](Policy policy) {
      return testing::WantedBy(policy, picture.log_domain);
    };
    const std::vector<size_t> dense = wanted({.kind = PolicyKind::kDense});
    EXPECT_THAT(dense, SizeIs(picture.domains()));
    std::vector<size_t> last = wanted({.kind = PolicyKind::kHard});
    for (size_t k = 1; k <= picture.domains(); ++k) {
      const std::vector<size_t> more = wanted({.kind = PolicyKind::kTopK, .k = k});
      EXPECT_THAT(more, SizeIs(k));
      EXPECT_TRUE(IsSubset(last, more));
      last = more;
    }
    EXPECT_TRUE(IsSubset(last, dense));
    last.clear();
    std::vector<size_t> last_threshold = dense;
    for (double tau = 0.05; tau < 1.0; tau += 0.05) {
      const std::vector<size_t> nucleus = wanted({.kind = PolicyKind::kNucleus, .tau = tau});
      EXPECT_TRUE(IsSubset(last, nucleus)) << "tau " << tau;
      last = nucleus;
      const std::vector<size_t> threshold = wanted({.kind = PolicyKind::kThreshold, .tau = tau});
      EXPECT_TRUE(IsSubset(threshold, last_threshold)) << "tau " << tau;
      last_threshold = threshold;
    }
  }
}

TEST(MakePolicyTest, CompletesWithDefaults) {
  EXPECT_EQ(Make(PolicyKind::kTopK, 9).k, kDefaultK);
  EXPECT_EQ(Make(PolicyKind::kTopK, 1).k, 1u) << "never more than there are domains";
  EXPECT_EQ(Make(PolicyKind::kThreshold, 9).tau, kDefaultThresholdTau);
  EXPECT_EQ(Make(PolicyKind::kNucleus, 9).tau, kDefaultNucleusTau);
  EXPECT_EQ(Make(PolicyKind::kPinned, 9).pinned, 8u);
}

TEST(MakePolicyTest, AcceptsTheEndsOfTheRanges) {
  EXPECT_EQ(Make(PolicyKind::kTopK, 9, 1).k, 1u);
  EXPECT_EQ(Make(PolicyKind::kTopK, 9, 9).k, 9u);
  EXPECT_EQ(Make(PolicyKind::kNucleus, 9, {}, 1.0).tau, 1.0);
  EXPECT_EQ(Make(PolicyKind::kThreshold, 9, {}, 0.999).tau, 0.999);
}

struct RefusalCase {
  std::string name;
  PolicyKind kind;
  std::optional<size_t> k;
  std::optional<double> tau;
  std::optional<size_t> pinned;
  std::string message;
};

class MakePolicyRefusalTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(MakePolicyRefusalTest, SaysValueAndRange) {
  const RefusalCase& param = GetParam();
  EXPECT_THAT(MakePolicy(param.kind, param.k, param.tau, param.pinned, /*domains=*/9),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(param.message)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, MakePolicyRefusalTest,
    ::testing::Values(
        RefusalCase{"KZero", PolicyKind::kTopK, 0, {}, {}, "k = 0 is out of range"},
        RefusalCase{"KTooLarge", PolicyKind::kTopK, 10, {}, {}, "policy top_k takes 1 to 9"},
        RefusalCase{"KForHard", PolicyKind::kHard, 2, {}, {}, "policy hard takes no k: only top_k"},
        RefusalCase{"TauZero", PolicyKind::kNucleus, {}, 0.0, {}, "tau = 0 is out of range"},
        RefusalCase{"TauNegative", PolicyKind::kNucleus, {}, -1.0, {}, "policy nucleus takes (0,"},
        RefusalCase{"TauAboveOne", PolicyKind::kNucleus, {}, 1.01, {}, "takes (0, 1]"},
        RefusalCase{"TauNan",
                    PolicyKind::kNucleus,
                    {},
                    std::numeric_limits<double>::quiet_NaN(),
                    {},
                    "tau = nan"},
        RefusalCase{"ThresholdOne", PolicyKind::kThreshold, {}, 1.0, {}, "takes (0, 1)"},
        RefusalCase{"TauForExact", PolicyKind::kExact, {}, 0.5, {}, "policy exact takes no tau"},
        RefusalCase{"PinWithoutDomain", PolicyKind::kPinned, {}, {}, {}, "needs a domain"},
        RefusalCase{"PinOutOfRange", PolicyKind::kPinned, {}, {}, 9, "domains 0 to 8"},
        RefusalCase{"PinForDense", PolicyKind::kDense, {}, {}, 1, "dense takes no pinned domain"},
        RefusalCase{"AllAtOnce", PolicyKind::kHard, 2, 0.5, {}, "leave it out; policy hard"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(MakePolicyTest, RefusesAModelWithoutDomains) {
  EXPECT_THAT(MakePolicy(PolicyKind::kHard, {}, {}, {}, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at least one domain")));
}

}  // namespace
}  // namespace orchard::moe
