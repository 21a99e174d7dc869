#include <algorithm>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

/// A pipeline of whose experts one looks at pictures.

namespace orchard::router {
namespace {

using core::FeatureKind;
using orchard::testing::IsOk;
using ::testing::ElementsAre;
using testing::HeldEncoder;
using testing::kFruit;
using testing::kRiceDisease;
using testing::Line;
using testing::Pinned;
using ::testing::SizeIs;

constexpr size_t kDecodedBytes = 8 * 8 * 3;  // of testing::Picture

/// The expert of rice sees 2 x 2 pixels.
Line::Options RiceLooks() {
  Line::Options options;
  options.picture_views = {{.profile = {.shorter_side = 2, .crop = 2},
                            .spec = std::make_shared<const core::ViewSpec>(
                                core::ViewSpec{.kind = FeatureKind::kImage,
                                               .element = core::ElementType::kUint8,
                                               .row_shape = {2, 2, 3}})}};
  options.picture_view_of = {0, std::nullopt, std::nullopt};
  return options;
}

std::vector<std::uint8_t> FourOf(std::uint8_t red) {
  std::vector<std::uint8_t> pixels(12, 0);
  for (size_t i = 0; i < pixels.size(); i += 3) pixels[i] = red;
  return pixels;
}

TEST(LookingTest, AnExpertIsGivenThePicturesThatAskItAndOthersTheFeatures) {
  HeldEncoder held;
  Line::Options options = RiceLooks();
  options.settings.max_batch = 4;
  options.on_encode = held.Hook();
  Line line(std::move(options));
  std::vector<std::future<testing::Answer>> answers;
  answers.push_back(line.Start(0, Pinned("fruit")));
  held.first_started.wait();
  for (std::uint8_t red = 1; red <= 3; ++red) {
    answers.push_back(line.Start(red, Pinned(red == 2 ? "fruit" : "rice_disease")));
    testing::AwaitQueue(line.pipeline(), red);  // In this order.
  }
  held.release.count_down();
  for (auto& answer : answers) EXPECT_THAT(answer.get(), IsOk());

  const auto rice = line.expert(kRiceDisease).asked();
  ASSERT_THAT(rice, SizeIs(1));
  const core::View& pictures = *rice[0].batch.view;
  EXPECT_EQ(pictures.spec().kind, FeatureKind::kImage);
  EXPECT_EQ(pictures.rows(), 2U) << "the other one was not asked to be seen";
  EXPECT_THAT(rice[0].batch.rows, ElementsAre(0U, 1U));
  EXPECT_TRUE(std::ranges::equal(pictures.Pixels(0, 1), FourOf(1)));
  EXPECT_TRUE(std::ranges::equal(pictures.Pixels(1, 1), FourOf(3)));

  const auto fruit = line.expert(kFruit).asked();
  ASSERT_THAT(fruit, SizeIs(2));
  EXPECT_EQ(fruit[1].batch.view->spec().kind, FeatureKind::kPooled);
  EXPECT_THAT(fruit[1].batch.rows, ElementsAre(1U));
  EXPECT_THAT(fruit[1].batch.view->Floats(1, 1), ElementsAre(2.0F));
}

TEST(LookingTest, WhatIsDecodedIsCountedUntilTheAnswerWhereExpertsMayLook) {
  for (const bool looks : {false, true}) {
    HeldEncoder held;
    Line::Options options = looks ? RiceLooks() : Line::Options();
    options.on_encode = held.Hook();
    Line line(std::move(options));
    auto answer = line.Start(1);
    held.first_started.wait();
    EXPECT_EQ(line.pipeline().Load().admission.bytes,
              testing::Picture(1).size() + (looks ? kDecodedBytes : 0));
    held.release.count_down();
    EXPECT_THAT(answer.get(), IsOk());
    EXPECT_TRUE(
        orchard::testing::Eventually([&] { return line.pipeline().Load().admission.bytes == 0; }));
  }
}

TEST(LookingTest, WhereThereIsNoRoomEveryViewIsMadeAndTheAnswerIsTheSame) {
  Line::Options options = RiceLooks();
  options.settings.in_flight_bytes = testing::Picture(1).size() + kDecodedBytes;  // Half is less.
  Line line(std::move(options));
  EXPECT_THAT(line.Classify(5, Pinned("rice_disease")), IsOk());
  const auto rice = line.expert(kRiceDisease).asked();
  ASSERT_THAT(rice, SizeIs(1));
  EXPECT_TRUE(std::ranges::equal(rice[0].batch.view->Pixels(0, 1), FourOf(5)));
}

}  // namespace
}  // namespace orchard::router
