#include "training/measure/classification.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::training {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Rows of log-probabilities.
std::vector<float> Logs(const std::vector<std::vector<double>>& rows) {
  std::vector<float> logs;
  for (const auto& row : rows) {
    for (const double p : row) logs.push_back(static_cast<float>(std::log(p)));
  }
  return logs;
}

TEST(ClassifyTest, CountsByClassAndByAnswer) {
  const auto rows = Logs({{.7, .2, .1}, {.3, .6, .1}, {.4, .4, .2}, {.1, .1, .8}});
  const std::vector<size_t> labels = {0, 0, 1, 2};
  const Classification figures = Classify(rows, labels, 3);
  EXPECT_EQ(figures.accuracy.hits, 2U);  // A tie goes to the lower class, here the wrong one.
  EXPECT_EQ(figures.accuracy.total, 4U);
  EXPECT_EQ(figures.by_class[0].hits, 1U);
  EXPECT_EQ(figures.by_class[0].total, 2U);
  EXPECT_EQ(figures.by_class[1].hits, 0U);
  EXPECT_THAT(figures.confusion,
              ElementsAre(ElementsAre(1, 1, 0), ElementsAre(1, 0, 0), ElementsAre(0, 0, 1)));
  EXPECT_NEAR(figures.nll, -(std::log(.7) + std::log(.3) + std::log(.4) + std::log(.8)) / 4, 1e-6);
  EXPECT_NEAR(figures.interval.low, Wilson(2, 4).low, 1e-12);
  // Every picture is a bin of its own: |1-.7|, |0-.6|, |0-.4|, |1-.8|.
  EXPECT_NEAR(figures.calibration_error, (.3 + .6 + .4 + .2) / 4, 1e-6);
}

TEST(ClassifyTest, WithoutPicturesNothingIsSaid) {
  const Classification figures = Classify({}, {}, 2);
  EXPECT_EQ(figures.accuracy.total, 0U);
  EXPECT_EQ(figures.nll, 0.0);
}

TEST(ClassificationToTextTest, NamesTheWeakestAndWhatIsTakenForWhat) {
  const auto rows = Logs({{.7, .3}, {.6, .4}, {.2, .8}});
  const std::vector<size_t> labels = {0, 1, 1};
  EXPECT_THAT(ToText(Classify(rows, labels, 2), {"stop", "yield"}),
              AllOf(HasSubstr("accuracy 0.6667"), HasSubstr("(2 of 3)"),
                    HasSubstr("yield taken for stop: 1")));
}

}  // namespace
}  // namespace orchard::training
