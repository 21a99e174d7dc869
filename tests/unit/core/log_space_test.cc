#include "core/log_space.h"

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::Pointwise;

struct SumCase {
  std::string name;
  std::vector<double> x;
  double want;
};

class LogSumExpTest : public ::testing::TestWithParam<SumCase> {};

TEST_P(LogSumExpTest, AddsProbabilitiesAsLogarithms) {
  const double sum = LogSumExp(GetParam().x);
  if (std::isinf(GetParam().want)) {
    EXPECT_EQ(sum, GetParam().want);
  } else {
    EXPECT_NEAR(sum, GetParam().want, 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, LogSumExpTest,
    ::testing::Values(SumCase{"Halves", {std::log(0.5), std::log(0.5)}, 0.0},
                      // models.md section 10, check 20.
                      SumCase{"Check20", {3, 1, 0}, 3.169846}, SumCase{"One", {-7.0}, -7.0},
                      SumCase{"MaskedAddsNothing", {-7.0, kMasked}, -7.0},
                      SumCase{"Empty", {}, kMasked},
                      SumCase{"AllMasked", {kMasked, kMasked}, kMasked},
                      SumCase{"FarFromOverflow", {1e4, 1e4}, 1e4 + std::log(2.0)},
                      SumCase{"FarFromUnderflow", {-1e4, -1e4}, -1e4 + std::log(2.0)}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(LogSoftmaxTest, GivesTheLogarithmsOfTheSoftmax) {
  // models.md section 10, check 4.
  const std::vector<double> log_p = LogSoftmax(std::vector<float>{2, 1, 0, -1}, 1.0);
  std::vector<double> p;
  for (const double value : log_p) p.push_back(std::exp(value));
  EXPECT_THAT(p, Pointwise(DoubleNear(1e-6), std::vector{0.643914, 0.236883, 0.087144, 0.032059}));
}

TEST(LogSoftmaxTest, ATemperatureFlattens) {
  // models.md section 10, check 21: .880797 at temperature 1, .731059 at 2.
  EXPECT_NEAR(std::exp(LogSoftmax(std::vector<float>{2, 0}, 1.0)[0]), 0.880797, 1e-6);
  EXPECT_NEAR(std::exp(LogSoftmax(std::vector<float>{2, 0}, 2.0)[0]), 0.731059, 1e-6);
}

TEST(LogSoftmaxTest, MaskedStaysMaskedAndTheRestSumsToOne) {
  const auto masked = static_cast<float>(kMasked);
  const std::vector<double> log_p = LogSoftmax(std::vector<float>{2, masked, 1}, 1.0);
  EXPECT_EQ(log_p[1], kMasked);
  EXPECT_NEAR(std::exp(log_p[0]) + std::exp(log_p[2]), 1.0, 1e-12);
  EXPECT_THAT(LogSoftmax(std::vector<float>{masked, masked}, 1.0), Each(kMasked));
}

TEST(LogSoftmaxTest, IsNeverAboveZeroAndSurvivesExtremeLogits) {
  for (const double value : LogSoftmax(std::vector<float>{3e38F, -3e38F, 0.0F}, 0.05)) {
    EXPECT_LE(value, 0.0);
    EXPECT_FALSE(std::isnan(value));
  }
  EXPECT_THAT(LogSoftmax({}, 1.0), IsEmpty());
}

}  // namespace
}  // namespace orchard::core
