#include "training/data/loader.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "vision/preprocess.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;

constexpr size_t kSide = 32;

/// The only view of the only picture, without any random change.
std::vector<std::uint8_t> OnlyView(const PictureStore& store, vision::Framing framing) {
  const std::vector<Label> labels(1);
  const std::array<v1::Augmentation, 1> none;
  Loader loader(store, labels, none,
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

}  // namespace
}  // namespace orchard::training
