#include <future>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "router/model_registry.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

/// Several models behind one pipeline.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HeldEncoder;
using testing::Line;

// The one worker takes what waits longest, and with it only pictures of the same model.
TEST(ModelsTest, AMicroBatchNeverMixesModels) {
  HeldEncoder held;
  std::vector<size_t> batches;  // of the second model; the one encode worker writes
  Line line({.settings = {.max_batch = 4}, .on_encode = held.Hook()});
  const auto second =
      line.SecondModel("second", [&](std::span<const std::uint8_t> pixels, size_t rows) {
        batches.push_back(rows);
        return line.EncodeReds(pixels, rows);
      });
  std::vector<std::future<testing::Answer>> answers;
  answers.push_back(line.Start(0));
  held.first_started.wait();
  for (std::uint8_t red = 1; red <= 6; ++red) {
    const bool of_second = red % 2 == 0;
    answers.push_back(line.Start(red, {}, std::nullopt, {}, of_second ? second : line.model()));
    testing::AwaitQueue(line.pipeline(), red);  // In this order.
  }
  held.release.count_down();
  for (size_t red = 0; red < answers.size(); ++red) {
    const testing::Answer answer = answers[red].get();
    ASSERT_THAT(answer, IsOk());
    EXPECT_EQ(answer->model_version(), red > 0 && red % 2 == 0 ? "second/7" : "small/7") << red;
  }
  line.Stop();
  EXPECT_THAT(batches, ElementsAre(3));
  EXPECT_EQ(held.passes.load(), 3) << "one alone, three of each model";
}

TEST(ModelsTest, WhatIsCountedIsCountedForTheModel) {
  Line line;
  const auto second = line.SecondModel(
      "second", [&](auto pixels, size_t rows) { return line.EncodeReds(pixels, rows); });
  ASSERT_THAT(line.Classify(1), IsOk());
  ASSERT_THAT(line.Start(2, {}, std::nullopt, {}, second).get(), IsOk());
  ASSERT_THAT(line.Start(3, {}, std::nullopt, {}, second).get(), IsOk());
  const std::string text = prometheus::TextSerializer().Serialize(line.registry().Collect());
  for (const char* series :
       {"orchard_outcomes_total{model=\"small\",outcome=\"OK\"} 1",
        "orchard_outcomes_total{model=\"second\",outcome=\"OK\"} 2",
        "orchard_routed_images_total{domain=\"rice_disease\",model=\"second\"} 2",
        "orchard_model_info{fingerprint=\"\",model=\"second\",version=\"\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST(ModelRegistryTest, FindsByNameAndNamesWhatThereIs) {
  Line line;
  const auto second = line.SecondModel("second", nullptr);
  const ModelRegistry registry({line.model(), second});
  EXPECT_EQ(*registry.Find(""), line.model());
  EXPECT_EQ(*registry.Find("small"), line.model());
  EXPECT_EQ(*registry.Find("second"), second);
  EXPECT_THAT(registry.Find("third"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no model is called \"third\"; served here: small, second")));
  EXPECT_THAT(registry.Find(std::string(500, 'x')).status().message(),
              ::testing::SizeIs(::testing::Lt(200U)));
}

}  // namespace
}  // namespace orchard::router
