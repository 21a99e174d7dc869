#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/fleet.h"
#include "tests/integration/router/running_router.h"
#include "tests/testing/eventually.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/status_matchers.h"

/// The moment that first connections are given at the start: it is for all of them together.

namespace orchard::router {
namespace {

using experts::EndpointState;
using orchard::testing::Eventually;
using orchard::testing::IsOk;
using orchard::testing::MuteServer;
using testing::RunningExperts;

TEST(WarmUpTest, AnAddressThatSaysNothingTakesNoTimeFromTheDomainsBehindIt) {
  const MuteServer mute;
  const v1::ModelManifest& manifest = testing::TinyModel().manifest();
  std::vector<std::string> others = testing::TinyModel().domains();
  const std::string first = others.front();
  others.erase(others.begin());
  const RunningExperts well(others);
  std::vector<std::string> settings = {first + "=" + mute.address()};
  for (const std::string& domain : others) settings.push_back(domain + "=" + well.address());
  const std::vector<NamedDomains> names = {{manifest.name(), testing::TinyModel().domains()}};
  const auto targets = ParseExpertTargets(settings, names);
  ASSERT_THAT(targets, IsOk());
  // A busy machine may need longer than that moment, once.
  EXPECT_TRUE(Eventually([&] {
    const auto fleet = RemoteFleet(manifest, targets->front(), {});
    std::vector<EndpointState> states;
    for (size_t domain = 0; domain < (*fleet)->domains(); ++domain) {
      states.push_back((*fleet)->Endpoints(domain).at(0).state);
    }
    EXPECT_EQ(states[0], EndpointState::kConnecting);
    return std::ranges::count(states, EndpointState::kUp) == std::ssize(others);
  }));
}

}  // namespace
}  // namespace orchard::router
