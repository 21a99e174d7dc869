#include "core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using ::testing::ElementsAre;

std::shared_ptr<const ViewSpec> Spec(FeatureKind kind, std::vector<std::int64_t> shape) {
  return std::make_shared<const ViewSpec>(ViewSpec{.kind = kind, .row_shape = std::move(shape)});
}

TEST(ViewTest, GivesRowsThatLieSideBySide) {
  const View view(Spec(FeatureKind::kMap, {3, 1, 1}),
                  std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(view.rows(), 3U);
  EXPECT_THAT(view.Floats(1, 1), ElementsAre(4, 5, 6));
  EXPECT_THAT(view.Floats(1, 2), ElementsAre(4, 5, 6, 7, 8, 9));
  EXPECT_EQ(view.Floats(2, 1).data(), view.Floats().data() + 6) << "copied";
}

TEST(ViewTest, APictureIsBytes) {
  const View view(Spec(FeatureKind::kImage, {1, 1, 3}),
                  std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(view.rows(), 2U);
  EXPECT_THAT(view.Pixels(1, 1), ElementsAre(4, 5, 6));
}

TEST(FeatureBatchTest, FindsTheViewOfAKindAndNoOther) {
  const auto pooled =
      std::make_shared<const View>(Spec(FeatureKind::kPooled, {2}), std::vector<float>{1, 2});
  const FeatureBatch batch{.rows = 1, .views = {pooled}};
  EXPECT_EQ(batch.Find(FeatureKind::kPooled), pooled);
  EXPECT_EQ(batch.Find(FeatureKind::kMap), nullptr);
  EXPECT_EQ(batch.Find(FeatureKind::kImage), nullptr) << "the picture is no feature";
}

}  // namespace
}  // namespace orchard::core
