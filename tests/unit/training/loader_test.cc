#include "training/data/loader.h"

#include <array>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "vision/preprocess.h"
#include "vision/weather.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;

constexpr size_t kSide = 32;

/// The only view of the only picture, by default without any random change.
std::vector<std::uint8_t> OnlyView(const PictureStore& store, vision::Framing framing,
                                   const v1::Augmentation& augmentation = {}) {
  const std::vector<Label> labels(1);
  const std::array augmentations = {augmentation};
  Loader loader(store, labels, augmentations,
                {.pictures = {0}, .sides = {kSide}, .batch = 1, .framing = framing, .seed = 1},
                /*threads=*/1);
  const torch::Tensor pixels = loader.Next().pixels.contiguous();
  const auto* const first = pixels.data_ptr<std::uint8_t>();
  return {first, first + pixels.numel()};
}

TEST(LoaderTest, FramesPicturesAsServingWill) {
  const testing::TempDir folder;
  const std::filesystem::path file = folder / "wide.jpg";
  WritePicture(file, testing::DrawLeaf(180, 60, 1));
  const auto store = PictureStore::Load({file}, /*threads=*/1);
  ASSERT_THAT(store, IsOk());
  std::vector<std::uint8_t> served(kSide * kSide * 3);
  vision::FitToEncoder(
      (*store)[0],
      {.shorter_side = kSide, .crop = kSide, .framing = vision::Framing::kWholePicture}, served);
  EXPECT_EQ(OnlyView(*store, vision::Framing::kWholePicture), served);
  EXPECT_NE(OnlyView(*store, vision::Framing::kCentreCrop), served);
}

// Weather has numbers of its own, so that it hides a view and changes no other draw.
TEST(LoaderTest, WeatherComesOverTheViewThatWouldBeThereWithoutIt) {
  const testing::TempDir folder;
  const std::filesystem::path file = folder / "leaf.jpg";
  WritePicture(file, testing::DrawLeaf(60, 60, 1));
  const auto store = PictureStore::Load({file}, /*threads=*/1);
  ASSERT_THAT(store, IsOk());
  v1::Augmentation augmentation;
  augmentation.set_brightness(0.4);
  const auto view = [&] { return OnlyView(*store, vision::Framing::kCentreCrop, augmentation); };
  const std::vector<std::uint8_t> clear = view();
  augmentation.set_weather(1.0);
  const std::vector<std::uint8_t> hidden = view();
  EXPECT_EQ(view(), hidden);
  std::vector<std::uint8_t> rendered = clear;
  std::mt19937_64 sky(Mix(/*seed=*/1, /*place=*/0, /*the weather's=*/2));
  vision::RenderAny(1.0, kSide, sky, rendered);
  EXPECT_EQ(hidden, rendered);
  EXPECT_NE(hidden, clear);
}

}  // namespace
}  // namespace orchard::training
