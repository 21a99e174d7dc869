#include "experts/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(TargetTest, ReadsAddressesAndNames) {
  const auto targets = ParseTargets("10.0.0.1:8011,[::1]:8012,fruit:8013,dns:///fruit.ns:8014");
  ASSERT_THAT(targets, IsOk());
  EXPECT_THAT(*targets, ElementsAre(Target{.dns = false, .address = {"10.0.0.1", 8011}},
                                    Target{.dns = false, .address = {"::1", 8012}},
                                    Target{.dns = false, .address = {"fruit", 8013}},
                                    Target{.dns = true, .address = {"fruit.ns", 8014}}));
  EXPECT_EQ((*targets)[1].ToString(), "[::1]:8012");
  EXPECT_EQ((*targets)[3].ToString(), "dns:///fruit.ns:8014");
}

TEST(TargetTest, SaysWhatIsWrong) {
  for (const std::string text :
       {"dns://fruit:1", "dns:fruit:1", "xds:///fruit:1", "fruit", "dns:///fruit", "fruit:0",
        "dns:///8.8.8.8/fruit:1", "fruit:70000", "ipv4:1.2.3.4:5", "::1:80"}) {
    EXPECT_THAT(ParseTarget(text), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"")))
        << text;
  }
  EXPECT_THAT(ParseTargets(","), StatusIs(absl::StatusCode::kInvalidArgument, "names no address"));
}

}  // namespace
}  // namespace orchard::experts
