#include "router/options.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/router/small_model.h"

namespace orchard::router {
namespace {

using moe::PolicyKind;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<Options> Parse(const v1::ClassifyOptions& options,
                              PolicyKind default_policy = PolicyKind::kExact) {
  return ParseOptions(options, testing::SmallCatalogue(), default_policy);
}

TEST(ParseOptionsTest, TakesTheServersDefaults) {
  const auto options = Parse({}, PolicyKind::kNucleus);
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->policy.kind, PolicyKind::kNucleus);
  EXPECT_EQ(options->policy.tau, moe::kDefaultNucleusTau);
  EXPECT_EQ(options->top, kDefaultTop);
}

TEST(ParseOptionsTest, KnowsEveryPolicyOfTheWireAndBack) {
  for (const PolicyKind kind : moe::AllPolicies()) {
    v1::ClassifyOptions options;
    options.set_policy(ToWire(kind));
    if (kind == PolicyKind::kPinned) options.set_domain("fruit");
    const auto parsed = Parse(options);
    ASSERT_THAT(parsed, IsOk()) << moe::Name(kind);
    EXPECT_EQ(parsed->policy.kind, kind);
    EXPECT_NE(ToWire(kind), v1::POLICY_UNSPECIFIED);
  }
}

TEST(ParseOptionsTest, ADomainAloneMeansPinned) {
  v1::ClassifyOptions options;
  options.set_domain("vegetable");
  const auto parsed = Parse(options);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->policy.kind, PolicyKind::kPinned);
  EXPECT_EQ(parsed->policy.pinned, testing::kVegetable);
}

TEST(ParseOptionsTest, DefaultTopIsNoMoreThanThereAreClasses) {
  Catalogue tiny = testing::SmallCatalogue();
  tiny.domains = {"fruit"};
  tiny.taxonomy.classes = {3};
  tiny.taxonomy.branch_of = {1};
  EXPECT_EQ(ParseOptions({}, tiny, PolicyKind::kHard)->top, 3U);
}

struct FaultCase {
  std::string name;
  void (*set)(v1::ClassifyOptions&);
  std::string value;  ///< said in the message
  std::string limit;
};

class ParseOptionsFaultTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(ParseOptionsFaultTest, IsRefusedWithValueAndLimit) {
  v1::ClassifyOptions options;
  GetParam().set(options);
  EXPECT_THAT(Parse(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(GetParam().value), HasSubstr(GetParam().limit))));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ParseOptionsFaultTest,
    ::testing::Values(
        FaultCase{"UnknownPolicy",
                  [](v1::ClassifyOptions& o) { o.set_policy(static_cast<v1::Policy>(42)); }, "42",
                  "NUCLEUS"},
        FaultCase{"UnknownPin", [](v1::ClassifyOptions& o) { o.set_domain("cheese"); }, "cheese",
                  "rice_disease, fruit, vegetable"},
        FaultCase{"PinnedToNothing", [](v1::ClassifyOptions& o) { o.set_policy(v1::PINNED); },
                  "missing", "rice_disease, fruit, vegetable"},
        FaultCase{"PinWithAnotherPolicy",
                  [](v1::ClassifyOptions& o) {
                    o.set_policy(v1::HARD);
                    o.set_domain("fruit");
                  },
                  "hard", "pinned"},
        FaultCase{"KOfZero",
                  [](v1::ClassifyOptions& o) {
                    o.set_policy(v1::TOP_K);
                    o.set_k(0);
                  },
                  "0", "1 to 3"},
        FaultCase{"KAboveTheDomains",
                  [](v1::ClassifyOptions& o) {
                    o.set_policy(v1::TOP_K);
                    o.set_k(4);
                  },
                  "4", "1 to 3"},
        FaultCase{"KWithHard",
                  [](v1::ClassifyOptions& o) {
                    o.set_policy(v1::HARD);
                    o.set_k(1);
                  },
                  "hard", "top_k"},
        FaultCase{"TauOfTwo",
                  [](v1::ClassifyOptions& o) {
                    o.set_policy(v1::THRESHOLD);
                    o.set_tau(2.0);
                  },
                  "2", "(0, 1)"},
        FaultCase{"TopOfZero", [](v1::ClassifyOptions& o) { o.set_top(0); }, "0", "1 to 7"},
        FaultCase{"TopAboveTheClasses", [](v1::ClassifyOptions& o) { o.set_top(8); }, "8",
                  "1 to 7"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(ParseOptionsTest, TellsEveryFaultAtOnce) {
  v1::ClassifyOptions options;
  options.set_policy(v1::TOP_K);
  options.set_k(99);
  options.set_top(100);
  options.set_domain("cheese");
  EXPECT_THAT(Parse(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("99"), HasSubstr("100"), HasSubstr("cheese"))));
}

TEST(ParseOptionsTest, DoesNotRepeatAWholeNovel) {
  v1::ClassifyOptions options;
  options.set_domain(std::string(100'000, 'x'));
  EXPECT_LT(Parse(options).status().message().size(), 300U);
}

}  // namespace
}  // namespace orchard::router
