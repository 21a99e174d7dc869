#include "core/clock.h"

#include <chrono>

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using std::chrono_literals::operator""us;

TEST(ClockTest, DurationsBecomeFractionsOfTheUnit) {
  EXPECT_DOUBLE_EQ(Milliseconds(1250us), 1.25);
  EXPECT_DOUBLE_EQ(Seconds(250us), 0.00025);
  EXPECT_DOUBLE_EQ(Milliseconds(-500us), -0.5);
}

}  // namespace
}  // namespace orchard::core
