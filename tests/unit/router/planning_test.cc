#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/fleet.h"
#include "router/gather.h"
#include "tests/testing/allocations.h"
#include "tests/testing/fake_expert.h"

/// A planning step as the scatter takes it: who is up, and which of them one picture asks next.

namespace orchard::router {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr size_t kDomains = 200;

/// All domains know concept 0 and one of their own, and an answer is to be very sure.
Catalogue ManyDomains() {
  Catalogue catalogue;
  catalogue.taxonomy.branches = 1;
  catalogue.taxonomy.branch_of.assign(kDomains, 0);
  catalogue.taxonomy.classes.assign(kDomains, 2);
  for (size_t domain = 0; domain < kDomains; ++domain) {
    catalogue.taxonomy.concept_of.push_back({0, domain + 1});
  }
  catalogue.taxonomy.concepts = kDomains + 1;
  catalogue.thresholds.confidence = 0.8;
  return catalogue;
}

/// Half to the first domain, half of the rest to the second, and so on down to what is equal.
std::vector<double> Halves() {
  std::vector<double> log_domain;
  double left = 1.0;
  for (size_t domain = 0; domain < kDomains; ++domain) {
    const double share = domain < 10 ? left / 2.0 : left / double(kDomains - domain);
    log_domain.push_back(std::log(share));
    left -= share;
  }
  return log_domain;
}

class PlanningTest : public ::testing::TestWithParam<moe::PolicyKind> {
 protected:
  static std::vector<std::unique_ptr<experts::Expert>> Experts() {
    std::vector<std::unique_ptr<experts::Expert>> experts;
    for (size_t domain = 0; domain < kDomains; ++domain) {
      experts.push_back(std::make_unique<orchard::testing::FakeExpert>());
    }
    return experts;
  }

  struct Steps {
    std::vector<WaveReason> waves = {};
    size_t allocations = 0;
  };
  /// Plans for a picture until there is nobody more to ask. All answer that it is concept 0, with
  /// nine tenths.
  Steps PlanToTheEnd(const moe::Policy& policy) {
    Gather gather(policy, Halves(), catalogue_);
    Steps steps;
    while (true) {
      std::span<const size_t> wave;
      steps.allocations += orchard::testing::CountAllocations([&] {
        fleet_.Unavailable(unavailable_);
        wave = gather.Next(unavailable_, room_);
      });
      if (wave.empty()) return steps;
      steps.waves.push_back(gather.wave_reason());
      for (const size_t domain : wave) gather.Answered(domain, answer_, 0);
    }
  }

  const Catalogue catalogue_ = ManyDomains();
  const ExpertFleet fleet_ = ExpertFleet(Experts());
  const std::shared_ptr<const model::ScoreBatch> answer_ =
      std::make_shared<const model::ScoreBatch>(
          model::ScoreBatch{.rows = 1,
                            .classes = 2,
                            .log_probabilities = {std::log(0.9F), std::log(0.1F)},
                            .energy = {0.0F}});
  std::vector<std::optional<experts::MissingReason>> unavailable_{kDomains};
  PlanRoom room_;
};

TEST_P(PlanningTest, AllocatesNothingOnceThereIsRoom) {
  const std::optional<size_t> pinned =
      GetParam() == moe::PolicyKind::kPinned ? std::optional<size_t>(kDomains - 1) : std::nullopt;
  const moe::Policy policy =
      moe::MakePolicy(GetParam(), std::nullopt, std::nullopt, pinned, kDomains).value();
  PlanToTheEnd(policy);  // Makes room.
  const Steps steps = PlanToTheEnd(policy);
  EXPECT_EQ(steps.allocations, 0U);
  EXPECT_THAT(steps.waves, Not(IsEmpty()));
  if (policy.kind == moe::PolicyKind::kExact) {  // Its other question was put as well.
    EXPECT_THAT(steps.waves, Contains(WaveReason::kCouldMakeItSure));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryPolicy, PlanningTest, ::testing::ValuesIn(moe::AllPolicies()),
                         [](const auto& param_info) {
                           return std::string(moe::Name(param_info.param));
                         });

}  // namespace
}  // namespace orchard::router
