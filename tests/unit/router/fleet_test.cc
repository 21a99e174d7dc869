#include "router/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/fake_expert.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using orchard::testing::FakeExpert;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kDomains = {"apple", "rice"};

TEST(ExpertFleetTest, ADomainThatNobodyKnowsIsNotAvailable) {
  auto down = std::make_unique<FakeExpert>();
  down->SetUnavailable(experts::MissingReason::kEjected);
  std::vector<std::unique_ptr<experts::Expert>> experts;
  experts.push_back(std::make_unique<FakeExpert>());
  experts.push_back(nullptr);
  experts.push_back(std::move(down));
  const ExpertFleet fleet(std::move(experts));
  std::vector<std::optional<experts::MissingReason>> unavailable(fleet.domains());
  fleet.Unavailable(unavailable);
  EXPECT_THAT(unavailable, ElementsAre(std::nullopt, experts::MissingReason::kDown,
                                       experts::MissingReason::kEjected));
}

TEST(ParseExpertAddressesTest, GathersTheAddressesOfADomain) {
  const std::vector<std::string> settings = {"rice=a:1,b:2", "rice=[::1]:3"};
  const auto addresses = ParseExpertAddresses(settings, kDomains);
  ASSERT_THAT(addresses, IsOk());
  EXPECT_THAT(*addresses, ElementsAre(IsEmpty(), ElementsAre("a:1", "b:2", "[::1]:3")));
}

TEST(ParseExpertAddressesTest, TellsEveryFaultAtOnce) {
  const std::vector<std::string> settings = {"cheese=a:1", "rice", "apple=nowhere", "rice="};
  EXPECT_THAT(ParseExpertAddresses(settings, kDomains),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("no domain \"cheese\", it has apple, rice"),
                             HasSubstr("\"rice\" is not DOMAIN=ADDRESS"),
                             HasSubstr("apple=nowhere"), HasSubstr("\"rice=\" names no address"))));
}

}  // namespace
}  // namespace orchard::router
