#include "router/render.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/router/small_model.h"

namespace orchard::router {
namespace {

using ::testing::ElementsAre;
using namespace std::chrono_literals;

/// Fruit is a carrot at .45, vegetable was down.
Classification Carrot(const Catalogue& catalogue) {
  Classification carrot;
  carrot.catalogue = &catalogue;
  carrot.classes = {{.domain = 1, .label = 1, .probability = 0.45, .conditional = 0.9}};
  carrot.concepts = {{.concept_index = catalogue.taxonomy.concept_of[1][1], .probability = 0.45}};
  carrot.coverage = 0.5;
  carrot.outcome = moe::Outcome::kLowConfidence;
  carrot.unknown_score = -3.0;
  carrot.routing = {.policy = moe::PolicyKind::kDense, .branch = 1, .branch_probability = 0.9};
  carrot.routing.domains = {{.log_probability = std::log(0.1)},
                            {.log_probability = std::log(0.5), .activated = true, .answered = true},
                            {.log_probability = std::log(0.4),
                             .activated = true,
                             .missing_reason = experts::MissingReason::kDown}};
  const core::Clock::time_point begin{1h};
  carrot.passage = Passage(begin);
  carrot.passage.Enter(Stage::kDecodeQueue, begin + 1ms);
  carrot.passage.Enter(Stage::kDecode, begin + 3ms);
  carrot.passage.Enter(Stage::kEncodeQueue, begin + 7ms);
  carrot.passage.Enter(Stage::kEncode, begin + 15ms);
  carrot.passage.Enter(Stage::kExperts, begin + 31ms);
  carrot.passage.Enter(Stage::kCombine, begin + 63ms);
  carrot.passage.End(begin + 64ms);
  return carrot;
}

TEST(RenderTest, SaysAllThatWasFound) {
  const Catalogue catalogue = testing::SmallCatalogue();
  const v1::ClassifyResponse response = Render(Carrot(catalogue), /*domains=*/true);
  ASSERT_EQ(response.predictions_size(), 1);
  EXPECT_EQ(response.predictions(0).label(), "carrot");
  EXPECT_EQ(response.predictions(0).domain(), "fruit");
  EXPECT_EQ(response.predictions(0).probability(), 0.45);
  EXPECT_EQ(response.predictions(0).conditional(), 0.9);
  EXPECT_EQ(response.concepts(0).label(), "carrot");
  EXPECT_EQ(response.coverage(), 0.5);
  EXPECT_FALSE(response.exact());
  EXPECT_EQ(response.outcome(), v1::LOW_CONFIDENCE);
  EXPECT_TRUE(response.degraded());
  EXPECT_THAT(response.missing(), ElementsAre("vegetable"));
  EXPECT_EQ(response.model_version(), "small/7");
  EXPECT_EQ(response.unknown_score(), -3.0);
  EXPECT_EQ(response.routing().policy(), v1::DENSE);
  EXPECT_EQ(response.routing().branch(), "non_disease");
  EXPECT_EQ(response.routing().branch_probability(), 0.9);
}

TEST(RenderTest, SaysWhatBecameOfEachDomain) {
  const Catalogue catalogue = testing::SmallCatalogue();
  const v1::ClassifyResponse response = Render(Carrot(catalogue), /*domains=*/true);
  ASSERT_EQ(response.routing().domains_size(), 3);
  const v1::DomainRouting& fruit = response.routing().domains(1);
  EXPECT_EQ(fruit.domain(), "fruit");
  EXPECT_NEAR(fruit.probability(), 0.5, 1e-12);
  EXPECT_TRUE(fruit.activated());
  EXPECT_TRUE(fruit.answered());
  EXPECT_EQ(fruit.missing_reason(), "");
  const v1::DomainRouting& vegetable = response.routing().domains(2);
  EXPECT_TRUE(vegetable.activated());
  EXPECT_FALSE(vegetable.answered());
  EXPECT_EQ(vegetable.missing_reason(), "down");
  EXPECT_FALSE(response.routing().domains(0).activated());
}

TEST(RenderTest, LeavesDomainsOutWhenTheyAreNotWanted) {
  const Catalogue catalogue = testing::SmallCatalogue();
  const v1::ClassifyResponse response = Render(Carrot(catalogue), /*domains=*/false);
  EXPECT_EQ(response.routing().domains_size(), 0);
  EXPECT_EQ(response.routing().branch(), "non_disease");
  EXPECT_THAT(response.missing(), ElementsAre("vegetable"));
}

TEST(RenderTest, SaysWhereTheTimeWent) {
  const Catalogue catalogue = testing::SmallCatalogue();
  const v1::StageTimings timings = Render(Carrot(catalogue), /*domains=*/true).timings();
  EXPECT_DOUBLE_EQ(timings.queue_ms(), 2.0 + 8.0);
  EXPECT_DOUBLE_EQ(timings.decode_ms(), 4.0);
  EXPECT_DOUBLE_EQ(timings.encode_ms(), 16.0);
  EXPECT_DOUBLE_EQ(timings.experts_ms(), 32.0);
  EXPECT_DOUBLE_EQ(timings.combine_ms(), 1.0);
  EXPECT_DOUBLE_EQ(timings.total_ms(), 64.0);
}

}  // namespace
}  // namespace orchard::router
