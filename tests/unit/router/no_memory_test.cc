#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/allocations.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

/// A line whose process has no memory for what a picture needs: that picture pays, and no other.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::ShortMemory;
using orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HeldEncoder;
using testing::kRiceDisease;
using testing::Line;
using testing::Pinned;
using ::testing::SizeIs;
using testing::With;

/// Far more than anything takes that is not made of pixels.
constexpr size_t kSide = 512;
constexpr size_t kBytes = kSide * kSide * 3;
constexpr vision::Profile kLarge{.shorter_side = kSide, .crop = kSide};

/// The expert of rice sees kSide x kSide pixels.
Line::Options RiceLooksClosely() {
  Line::Options options;
  options.picture_views = {{.profile = kLarge,
                            .spec = std::make_shared<const core::ViewSpec>(
                                core::ViewSpec{.kind = core::FeatureKind::kImage,
                                               .element = core::ElementType::kUint8,
                                               .row_shape = {kSide, kSide, 3}})}};
  options.picture_view_of = {0, std::nullopt, std::nullopt};
  return options;
}

TEST(NoMemoryTest, ForTheEncodersPixelsRefusesThePictureAndTheNextOneIsAnswered) {
  Line line({.profile = kLarge});
  {
    const ShortMemory memory(kBytes);
    EXPECT_THAT(line.Classify(),
                StatusIs(absl::StatusCode::kResourceExhausted, "decoding the picture: no memory"));
  }
  EXPECT_THAT(line.Classify(), IsOk());
}

TEST(NoMemoryTest, ForTheEncodersPixelsOfAPictureThatIsKeptRefusesItToo) {
  Line::Options options = RiceLooksClosely();
  options.profile = kLarge;
  Line line(std::move(options));
  {
    const ShortMemory memory(kBytes);
    EXPECT_THAT(line.Classify(),
                StatusIs(absl::StatusCode::kResourceExhausted, "resizing the picture: no memory"));
  }
  EXPECT_THAT(line.Classify(), IsOk());
}

TEST(NoMemoryTest, ForAMicroBatchEncodesItsPicturesOneByOne) {
  HeldEncoder encoder;
  Line line({.on_encode = encoder.Hook(), .profile = kLarge});
  std::vector<std::future<testing::Answer>> answers;
  answers.push_back(line.Start(1));
  encoder.first_started.wait();
  for (std::uint8_t red = 2; red <= 4; ++red) answers.push_back(line.Start(red));
  testing::AwaitQueue(line.pipeline(), 3);
  const ShortMemory memory(2 * kBytes);
  encoder.release.count_down();
  for (auto& answer : answers) EXPECT_THAT(answer.get(), IsOk());
  EXPECT_EQ(encoder.passes, 1 + 3);
}

TEST(NoMemoryTest, ForAnExpertsViewMakesThatExpertMissing) {
  Line line(RiceLooksClosely());
  const ShortMemory memory(kBytes);
  const auto answer = line.Classify(1, With(v1::DENSE));
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->degraded());
  EXPECT_FALSE(answer->routing().domains(kRiceDisease).answered());
  EXPECT_EQ(answer->routing().domains(kRiceDisease).missing_reason(), "overloaded");
  EXPECT_THAT(line.Classify(1, Pinned("rice_disease")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is overloaded")));
  EXPECT_THAT(line.expert(kRiceDisease).asked(), SizeIs(0));
}

TEST(NoMemoryTest, ForTheViewsOfACallAsksAboutOneAtATime) {
  HeldEncoder encoder;
  Line::Options options = RiceLooksClosely();
  options.on_encode = encoder.Hook();
  options.experts = {.in_flight = 2};
  Line line(std::move(options));
  std::vector<std::future<testing::Answer>> answers;
  answers.push_back(line.Start(1, Pinned("fruit")));
  encoder.first_started.wait();
  for (std::uint8_t red = 2; red <= 3; ++red) {
    answers.push_back(line.Start(red, Pinned("rice_disease")));
  }
  testing::AwaitQueue(line.pipeline(), 2);
  const ShortMemory memory(2 * kBytes);
  encoder.release.count_down();
  for (auto& answer : answers) EXPECT_THAT(answer.get(), IsOk());
  const auto asked = line.expert(kRiceDisease).asked();
  ASSERT_THAT(asked, SizeIs(2));
  for (const auto& call : asked) EXPECT_THAT(call.batch.rows, ElementsAre(0U));
}

TEST(NoMemoryTest, ForTheViewsOfACallDoesNotAskForWhoHasGoneMeanwhile) {
  HeldEncoder encoder;
  Line::Options options = RiceLooksClosely();
  options.on_encode = encoder.Hook();
  options.experts = {.in_flight = 2};
  Line line(std::move(options));
  std::stop_source gone;
  line.expert(kRiceDisease).AnswerBy([&](const experts::SubBatch& batch, const auto&) {
    gone.request_stop();
    return testing::Scores(batch.rows.size(), /*classes=*/2, 0.9);
  });
  auto other = line.Start(1, Pinned("fruit"));
  encoder.first_started.wait();
  auto stays = line.Start(2, Pinned("rice_disease"));
  testing::AwaitQueue(line.pipeline(), 1);  // So it is the first row.
  auto goes = line.Start(3, Pinned("rice_disease"), std::nullopt, gone.get_token());
  testing::AwaitQueue(line.pipeline(), 2);
  const ShortMemory memory(2 * kBytes);
  encoder.release.count_down();
  EXPECT_THAT(other.get(), IsOk());
  EXPECT_THAT(stays.get(), IsOk());
  EXPECT_EQ(goes.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(line.expert(kRiceDisease).asked(), SizeIs(1));
  for (int place = 0; place < 2; ++place) {
    EXPECT_TRUE(line.model()->experts().TakePlace(kRiceDisease));
  }
}

TEST(NoMemoryTest, ForAnExpertsViewGivesThePlacesBack) {
  Line::Options options = RiceLooksClosely();
  options.experts = {.in_flight = 1};
  Line line(std::move(options));
  for (int i = 0; i < 3; ++i) {
    const ShortMemory memory(kBytes);
    EXPECT_THAT(line.Classify(1, Pinned("rice_disease")),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is overloaded")));
  }
  EXPECT_THAT(line.Classify(1, Pinned("rice_disease")), IsOk());
}

TEST(NoMemoryTest, ForTheViewsOfAPictureThatCantBeKeptRefusesIt) {
  Line::Options options = RiceLooksClosely();
  options.settings.in_flight_bytes = testing::Picture(1).size() + 8 * 8 * 3;  // Half is less.
  Line line(std::move(options));
  {
    const ShortMemory memory(kBytes);
    EXPECT_THAT(line.Classify(),
                StatusIs(absl::StatusCode::kResourceExhausted, "resizing the picture: no memory"));
  }
  EXPECT_THAT(line.Classify(), IsOk());
}

}  // namespace
}  // namespace orchard::router
