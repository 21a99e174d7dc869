// How often what is drawn, and how fast is learned.
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "training/data/sampler.h"
#include "training/loop/schedule.h"

namespace orchard::training {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

/// `counts[g][c]` pictures.
std::vector<Label> Labels(const std::vector<std::vector<size_t>>& counts) {
  std::vector<Label> labels;
  for (size_t g = 0; g < counts.size(); ++g) {
    for (size_t c = 0; c < counts[g].size(); ++c) {
      labels.insert(labels.end(), counts[g][c], Label{.domain = g, .label = c});
    }
  }
  return labels;
}

TEST(SamplerTest, DrawsDomainsByThePowerOfTheirCount) {
  const std::vector<Label> labels = Labels({{50, 50}, {450, 450}});
  const auto probabilities = [&](double power) {
    return Sampler(labels, {.domain_power = power}).domain_probabilities();
  };
  EXPECT_THAT(probabilities(0.0), ElementsAre(DoubleNear(.5, 1e-12), DoubleNear(.5, 1e-12)));
  EXPECT_THAT(probabilities(0.5), ElementsAre(DoubleNear(.25, 1e-12), DoubleNear(.75, 1e-12)));
  EXPECT_THAT(probabilities(1.0), ElementsAre(DoubleNear(.1, 1e-12), DoubleNear(.9, 1e-12)));
}

TEST(SamplerTest, FactorsFavourADomain) {
  const Sampler sampler(Labels({{10, 10}, {10, 10}}), {.domain_factors = {3.0, 1.0}});
  EXPECT_THAT(sampler.domain_probabilities(),
              ElementsAre(DoubleNear(.75, 1e-12), DoubleNear(.25, 1e-12)));
}

TEST(SamplerTest, GivesEveryBatchItsShareOfEachDomain) {
  const std::vector<Label> labels = Labels({{50, 50}, {450, 450}});
  Sampler sampler(labels, {.domain_power = 0.5, .batch = 16});
  const std::vector<size_t> epoch = sampler.NextEpoch(160);
  ASSERT_EQ(epoch.size(), 160U);
  for (size_t b = 0; b < 10; ++b) {
    size_t first = 0;
    for (size_t i = 0; i < 16; ++i) first += labels[epoch[b * 16 + i]].domain == 0 ? 1 : 0;
    EXPECT_EQ(first, 4U) << "batch " << b;
  }
}

TEST(SamplerTest, DrawsRareClassesMoreOftenThanTheirShare) {
  const std::vector<Label> labels = Labels({{10, 90}});
  Sampler sampler(labels, {.class_power = 0.0, .batch = 10});
  size_t rare = 0;
  for (const size_t i : sampler.NextEpoch(2000)) rare += labels[i].label == 0 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(rare), 1000.0, 100.0);
}

TEST(SamplerTest, DealsEveryPictureOnceBeforeOneComesAgain) {
  Sampler sampler(Labels({{12}}), {.batch = 4});
  std::map<size_t, size_t> seen;
  for (const size_t i : sampler.NextEpoch(24)) ++seen[i];
  ASSERT_EQ(seen.size(), 12U);
  for (const auto& [picture, times] : seen) EXPECT_EQ(times, 2U) << picture;
}

TEST(SamplerTest, SameSeedGivesTheSameEpochs) {
  const std::vector<Label> labels = Labels({{5, 7}, {9, 3}});
  Sampler first(labels, {.batch = 4, .seed = 3});
  Sampler second(labels, {.batch = 4, .seed = 3});
  Sampler other(labels, {.batch = 4, .seed = 4});
  EXPECT_EQ(first.NextEpoch(40), second.NextEpoch(40));
  EXPECT_EQ(first.NextEpoch(40), second.NextEpoch(40));
  EXPECT_NE(first.NextEpoch(40), other.NextEpoch(40));
}

TEST(ScheduleTest, WarmsUpThenFollowsHalfACosine) {
  const Schedule schedule{.steps = 14, .warmup = 4, .final_factor = 0.1};
  EXPECT_DOUBLE_EQ(schedule.Factor(0), 0.25);
  EXPECT_DOUBLE_EQ(schedule.Factor(3), 1.0);
  EXPECT_DOUBLE_EQ(schedule.Factor(4), 1.0);
  EXPECT_NEAR(schedule.Factor(7), 0.1 + 0.9 * 0.75, 1e-12);  // A third of the way: cos 60°.
  EXPECT_NEAR(schedule.Factor(13), 0.1, 1e-12);
  EXPECT_NEAR(schedule.Factor(99), 0.1, 1e-12);
}

TEST(ScheduleTest, WithoutAWarmUpStartsAtThePeak) {
  EXPECT_DOUBLE_EQ((Schedule{.steps = 10}).Factor(0), 1.0);
  EXPECT_DOUBLE_EQ((Schedule{.steps = 1}).Factor(0), 1.0);
}

}  // namespace
}  // namespace orchard::training
