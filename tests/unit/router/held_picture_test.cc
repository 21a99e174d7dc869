#include "router/held_picture.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/preprocess.h"

namespace orchard::router {
namespace {

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
    const std::span<const std::uint8_t> pixels = held.Render(index);
    EXPECT_TRUE(std::ranges::equal(pixels, Fitted(views[index].profile)));
    EXPECT_EQ(held.Render(index).data(), pixels.data()) << "rendered twice";
  }
}

TEST(HeldPictureTest, ThePictureGoesWhereThereIsNoRoomAndItsViewsStay) {
  const std::vector<PictureView> views = Views();
  HeldPicture held(Gradient(), views);
  held.RenderAll();
  EXPECT_EQ(held.bytes(), 0U);
  for (size_t index = 0; index < views.size(); ++index) {
    EXPECT_TRUE(std::ranges::equal(held.Render(index), Fitted(views[index].profile)));
  }
}

}  // namespace
}  // namespace orchard::router
