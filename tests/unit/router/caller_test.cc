#include "router/caller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using orchard::testing::IsOkAndHolds;
using orchard::testing::StatusIs;
using ::testing::HasSubstr;

struct PeerCase {
  std::string_view peer, caller;
};

TEST(CallerTest, IsAnAddressWithoutItsPort) {
  for (const auto& [peer, caller] :
       {PeerCase{"ipv4:10.0.0.1:4321", "ipv4:10.0.0.1"}, PeerCase{"ipv6:[::1]:4321", "ipv6:[::1]"},
        PeerCase{"ipv6:%5B2001:db8::7%5D:4321", "ipv6:%5B2001:db8::7%5D"},
        PeerCase{"ipv6:[2001:db8::7]", "ipv6:[2001:db8::7]"},
        PeerCase{"ipv6:2001:db8::7", "ipv6:2001:db8::7"},
        PeerCase{"ipv4:10.0.0.1", "ipv4:10.0.0.1"},
        PeerCase{"unix:/run/orchard:1", "unix:/run/orchard:1"}, PeerCase{"", ""}}) {
    EXPECT_EQ(WithoutPort(peer), caller) << peer;
  }
}

TEST(PriorityTest, IsOneOfTwoWords) {
  EXPECT_THAT(ParsePriority("interactive"), IsOkAndHolds(Priority::kInteractive));
  EXPECT_THAT(ParsePriority("batch"), IsOkAndHolds(Priority::kBatch));
  EXPECT_THAT(
      ParsePriority("bacth"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               ::testing::AllOf(HasSubstr("\"bacth\""), HasSubstr("interactive and batch"))));
  EXPECT_THAT(ParsePriority(""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"\"")));
}

}  // namespace
}  // namespace orchard::router
