#include "core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using ::testing::ElementsAre;

TEST(FeatureBatchTest, GivesTheRowOfItsKind) {
  const FeatureBatch batch = {.rows = 2,
                              .pooled_width = 2,
                              .map_width = 3,
                              .pooled = {1, 2, 3, 4},
                              .map = {10, 11, 12, 20, 21, 22}};
  EXPECT_THAT(batch.Row(FeatureKind::kPooled, 0), ElementsAre(1, 2));
  EXPECT_THAT(batch.Row(FeatureKind::kPooled, 1), ElementsAre(3, 4));
  EXPECT_THAT(batch.Row(FeatureKind::kMap, 0), ElementsAre(10, 11, 12));
  EXPECT_THAT(batch.Row(FeatureKind::kMap, 1), ElementsAre(20, 21, 22));
}

}  // namespace
}  // namespace orchard::core
