#include "router/held_picture.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/allocations.h"
#include "tests/testing/status_matchers.h"
#include "vision/preprocess.h"

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::ShortMemory;
using orchard::testing::StatusIs;

vision::Image Gradient() {
  vision::Image image{.width = 40, .height = 30, .rgb = {}};
  for (size_t i = 0; i < 40 * 30 * 3; ++i) {
    image.rgb.push_back(static_cast<std::uint8_t>(i * 7 % 256));
  }
  return image;
}

std::vector<PictureView> Views() {
  return {{.profile = {.shorter_side = 8, .crop = 8, .framing = vision::Framing::kWholePicture},
           .spec = nullptr},
          {.profile = {.shorter_side = 20, .crop = 16}, .spec = nullptr}};
}

std::vector<std::uint8_t> Fitted(const vision::Profile& profile) {
  std::vector<std::uint8_t> pixels(profile.crop * profile.crop * 3);
  vision::FitToEncoder(Gradient(), profile, pixels);
  return pixels;
}

TEST(HeldPictureTest, RendersAViewWhenItIsAskedForAndOnce) {
  const std::vector<PictureView> views = Views();
  HeldPicture held(Gradient(), views);
  EXPECT_EQ(held.bytes(), 40U * 30 * 3);
  for (size_t index = 0; index < views.size(); ++index) {
    const auto pixels = held.Render(index);
    ASSERT_THAT(pixels, IsOk());
    EXPECT_TRUE(std::ranges::equal(*pixels, Fitted(views[index].profile)));
    EXPECT_EQ(held.Render(index)->data(), pixels->data()) << "rendered twice";
  }
}

TEST(HeldPictureTest, ThePictureGoesWhereThereIsNoRoomAndItsViewsStay) {
  const std::vector<PictureView> views = Views();
  HeldPicture held(Gradient(), views);
  ASSERT_THAT(held.RenderAll(), IsOk());
  EXPECT_EQ(held.bytes(), 0U);
  for (size_t index = 0; index < views.size(); ++index) {
    const auto pixels = held.Render(index);
    ASSERT_THAT(pixels, IsOk());
    EXPECT_TRUE(std::ranges::equal(*pixels, Fitted(views[index].profile)));
  }
}

TEST(HeldPictureTest, WithoutMemoryForAViewItStaysAndCanBeRenderedLater) {
  const std::vector<PictureView> views = {
      {.profile = {.shorter_side = 256, .crop = 256}, .spec = nullptr}};
  HeldPicture held(Gradient(), views);
  {
    const ShortMemory memory(size_t{256} * 256 * 3);
    const auto none =
        StatusIs(absl::StatusCode::kResourceExhausted, "resizing the picture: no memory");
    EXPECT_THAT(held.Render(0), none);
    EXPECT_THAT(held.RenderAll(), none);
  }
  EXPECT_GT(held.bytes(), 0U);
  EXPECT_THAT(held.Render(0), IsOk());
}

}  // namespace
}  // namespace orchard::router
