#include "core/linear_time.h"

#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using namespace std::chrono_literals;

double Ms(Clock::duration duration) { return Milliseconds(duration); }

Clock::duration FromMs(double ms) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(ms));
}

struct FitCase {
  std::string name;
  std::vector<std::pair<double, double>> measured;  // size, ms; over and over
  double size;
  double want, within;  // ms
};

void PrintTo(const FitCase& fit, std::ostream* out) { *out << fit.name; }

class LinearTimeFitTest : public ::testing::TestWithParam<FitCase> {};

TEST_P(LinearTimeFitTest, SaysWhatWorkOfASizeTakes) {
  LinearTime time;
  for (int round = 0; round < 50; ++round) {
    for (const auto& [size, ms] : GetParam().measured) time.Add(size, FromMs(ms));
  }
  EXPECT_NEAR(Ms(time.Of(GetParam().size)), GetParam().want, GetParam().within);
  EXPECT_GE(time.alpha(), 0.0);
  EXPECT_GE(time.beta(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(
    Table, LinearTimeFitTest,
    ::testing::Values(
        FitCase{"OneAndFour", {{1, 5}, {4, 14}}, 1, 5, 0.2},
        FitCase{"BetweenThem", {{1, 5}, {4, 14}}, 2, 8, 0.2},
        FitCase{"BeyondThem", {{1, 5}, {4, 14}}, 8, 26, 0.5},
        FitCase{"OneSizeIsProportional", {{1, 5}}, 4, 20, 1e-6},
        FitCase{"OneLargeSizeIsProportional", {{8, 24}}, 1, 3, 1e-6},
        FitCase{"RareOtherSizes",
                {{1, 5}, {1, 5.1}, {1, 4.9}, {1, 5}, {1, 5}, {1, 5}, {1, 5}, {1, 5}, {3, 11}},
                4,
                14,
                0.5},
        FitCase{"NeverANegativeStart", {{1, 1}, {2, 10}}, 0.01, 0, 0.1},
        FitCase{"NeverANegativeSlope", {{1, 10}, {2, 2}}, 100, 6, 0.5},
        FitCase{"Bytes", {{1e5, 2}, {1e6, 11}, {5e6, 51}}, 2e6, 21, 0.5}),
    [](const auto& param_info) { return param_info.param.name; });

// A router that only ever saw single pictures judged a burst of 200 on two workers, in passes of
// four, to take 130 ms: as many as single pictures would. It takes 430.
TEST(LinearTimeTest, ABurstIsNotJudgedByPassesOfOnePicture) {
  LinearTime time;
  for (int i = 0; i < 100; ++i) time.Add(1, 5ms);
  const double judged = 200.0 / (2 * 4) * Ms(time.Of(4));
  EXPECT_GE(judged, 430.0);
  EXPECT_LE(judged, 550.0);
}

TEST(LinearTimeTest, IsNothingUntilSomethingWasMeasured) {
  const LinearTime time;
  EXPECT_FALSE(time.known());
  EXPECT_EQ(time.Of(4), 0ns);
}

TEST(LinearTimeTest, ForgetsWhatWasTrueOnce) {
  LinearTime time;
  for (int i = 0; i < 1000; ++i) time.Add(i % 4 + 1, FromMs(50.0 * (i % 4 + 1)));
  for (int i = 0; i < 250; ++i) time.Add(i % 4 + 1, FromMs(2.0 + (i % 4 + 1)));
  EXPECT_NEAR(Ms(time.Of(1)), 3.0, 1.0);
  EXPECT_NEAR(Ms(time.Of(4)), 6.0, 1.5);
}

TEST(LinearTimeTest, IgnoresWhatIsNoMeasurement) {
  LinearTime time;
  time.Add(0, 5ms);
  time.Add(-1, 5ms);
  time.Add(std::numeric_limits<double>::quiet_NaN(), 5ms);
  time.Add(std::numeric_limits<double>::infinity(), 5ms);
  time.Add(1, -5ms);
  EXPECT_FALSE(time.known());
}

TEST(LinearTimeTest, RefusalsLowerASlowSpellUntilSomebodyMayMeasureAnew) {
  LinearTime time;
  time.Add(1, 10s);
  int refused = 0;
  while (time.Of(1) > 100ms && refused < 1000) {
    time.Refused();
    ++refused;
  }
  EXPECT_LT(refused, 50);
  for (int i = 0; i < 20; ++i) time.Add(1, 2ms);
  EXPECT_NEAR(Ms(time.Of(1)), 2.0, 5.0);
}

}  // namespace
}  // namespace orchard::core
