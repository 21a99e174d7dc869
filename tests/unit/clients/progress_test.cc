#include "clients/cpp/progress.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::client {
namespace {

using ::testing::HasSubstr;

TEST(ProgressBarTest, ShowsTheShareDone) {
  std::ostringstream out;
  ProgressBar(out, 4, /*enabled=*/true).Show(1);
  EXPECT_THAT(out.str(), HasSubstr("[##########                              ] 1/4"));
}

TEST(ProgressBarTest, WritesNothingWhereNobodyLooks) {
  std::ostringstream out;
  ProgressBar bar(out, 4, /*enabled=*/false);
  bar.Show(1);
  bar.Hide();
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressBarTest, NothingToDoIsNoDivisionByZero) {
  std::ostringstream out;
  ProgressBar(out, 0, /*enabled=*/true).Show(0);
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace orchard::client
