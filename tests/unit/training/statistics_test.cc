#include "training/measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::training {
namespace {

TEST(WilsonTest, IsTheKnownIntervalOfNinetyThreeInNinetyNine) {
  const Interval interval = Wilson(93, 99);
  EXPECT_NEAR(interval.low, 0.8739, 1e-3);
  EXPECT_NEAR(interval.high, 0.9719, 1e-3);
}

TEST(WilsonTest, NeverLeavesTheUnitIntervalAndSaysNothingWithoutATrial) {
  EXPECT_EQ(Wilson(0, 10).low, 0.0);
  EXPECT_EQ(Wilson(10, 10).high, 1.0);
  EXPECT_EQ(Wilson(0, 0).low, 0.0);
  EXPECT_EQ(Wilson(0, 0).high, 1.0);
}

struct McNemarCase {
  size_t b, c;
  double p;
};

// models.md section 10, check 22.
TEST(McNemarTest, IsTheExactTwoSidedTest) {
  for (const McNemarCase& test :
       {McNemarCase{8, 2, 0.109375}, McNemarCase{3, 0, 0.25}, McNemarCase{7, 0, 0.015625},
        McNemarCase{0, 0, 1.0}, McNemarCase{2, 2, 1.0}}) {
    const Paired paired{.only_first = test.b, .only_second = test.c, .total = 100};
    EXPECT_NEAR(paired.McNemar(), test.p, 1e-12) << test.b << " against " << test.c;
  }
}

TEST(PairedTest, DifferenceLiesInsideItsIntervalAndEqualAnswersGiveZero) {
  const Paired paired{.only_first = 12, .only_second = 4, .total = 100};
  const Interval interval = paired.DifferenceInterval(/*first=*/90, /*second=*/82);
  EXPECT_NEAR(paired.Difference(), 0.08, 1e-12);
  EXPECT_LT(interval.low, 0.08);
  EXPECT_GT(interval.high, 0.08);
  EXPECT_GT(interval.low, -0.02);
  const Paired equal{.only_first = 0, .only_second = 0, .total = 50};
  const Interval around_zero = equal.DifferenceInterval(40, 40);
  EXPECT_NEAR(around_zero.low, -around_zero.high, 1e-9);
}

// Newcombe 1998: method 8 here; 10, which corrects the correlation for continuity, would give
// -.0006 to .1638. In the paper's own example (36, 12, 2, 0) both are .0569 to .3404.
TEST(PairedTest, IntervalIsNewcombesMethod8) {
  const Paired paired{.only_first = 12, .only_second = 4, .total = 100};
  const Interval interval = paired.DifferenceInterval(/*first=*/90, /*second=*/82);
  EXPECT_NEAR(interval.low, 0.0019963, 1e-6);
  EXPECT_NEAR(interval.high, 0.1617840, 1e-6);
  const Paired published{.only_first = 12, .only_second = 2, .total = 50};
  const Interval both = published.DifferenceInterval(/*first=*/48, /*second=*/38);
  EXPECT_NEAR(both.low, 0.0569, 1e-4);
  EXPECT_NEAR(both.high, 0.3404, 1e-4);
}

// models.md section 10, check 21.
TEST(CalibrationErrorTest, OfFivePicturesInFiveBinsIsTheHandValue) {
  const std::vector<double> confidence = {.95, .85, .75, .65, .55};
  const std::vector<int> correct = {1, 1, 0, 1, 0};
  // Equal widths: .95 and .85 share (.8, 1], .75 and .65 share (.6, .8], .55 is in (.4, .6].
  EXPECT_NEAR(EqualWidthCalibrationError(confidence, correct, 5), 0.23, 1e-12);
  // A bin a picture: the mean of |correct - confidence|.
  EXPECT_NEAR(EqualMassCalibrationError(confidence, correct, 5), (.05 + .15 + .75 + .35 + .55) / 5,
              1e-12);
}

TEST(CalibrationErrorTest, OfAHonestForecastIsZero) {
  const std::vector<double> confidence(10, 0.7);
  const std::vector<int> correct = {1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
  EXPECT_NEAR(EqualMassCalibrationError(confidence, correct, 1), 0.0, 1e-12);
}

// models.md section 10, check 20.
TEST(AurocTest, CountsPairsAndHalvesTies) {
  EXPECT_NEAR(Auroc(std::vector<double>{.9, .8, .7, .6, .4}, std::vector<double>{.65, .5, .3}), 0.8,
              1e-12);
  EXPECT_NEAR(Auroc(std::vector<double>{1.0}, std::vector<double>{1.0}), 0.5, 1e-12);
  EXPECT_NEAR(Auroc(std::vector<double>{2.0, 3.0}, std::vector<double>{1.0}), 1.0, 1e-12);
}

TEST(ThresholdTest, LetsAtLeastTheShareOfKnownPicturesPass) {
  std::vector<double> known;
  for (int i = 0; i < 100; ++i) known.push_back(i);
  const double threshold = ThresholdAtShare(known, 0.95);
  EXPECT_EQ(threshold, 5.0);
  EXPECT_NEAR(FalsePositiveRateAt95(known, std::vector<double>{4.0, 5.0, 6.0, -1.0}), 0.5, 1e-12);
}

// models.md section 5.3.
TEST(ThresholdTest, IsTheLargestThatTheShareReachesWhateverTheCount) {
  for (size_t count = 1; count <= 130; ++count) {
    std::vector<double> known;
    for (size_t i = 0; i < count; ++i) known.push_back(static_cast<double>((7 * i) % count / 2));
    const double threshold = ThresholdAtShare(known, 0.95);
    const auto reach = [&](double t) {
      return static_cast<double>(std::ranges::count_if(known, [&](double s) { return s >= t; }));
    };
    const double wanted = 0.95 * static_cast<double>(count) - 1e-9;
    EXPECT_GE(reach(threshold), wanted) << count;
    for (const double score : known) {
      if (score > threshold) {
        EXPECT_LT(reach(score), wanted) << count;
      }
    }
  }
}

TEST(GoldenSectionTest, FindsTheOneMinimum) {
  const double x = GoldenSection(-3.0, 5.0, 1e-7, [](double v) { return (v - 1.25) * (v - 1.25); });
  EXPECT_NEAR(x, 1.25, 1e-6);
}

}  // namespace
}  // namespace orchard::training
