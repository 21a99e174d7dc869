#include "model/warm_up.h"

#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::model {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using testing::StatusIs;

std::vector<size_t> SizesOf(size_t max_batch) {
  std::vector<size_t> sizes;
  EXPECT_THAT(WarmUp(max_batch,
                     [&](size_t rows) {
                       sizes.push_back(rows);
                       return absl::OkStatus();
                     }),
              IsOk());
  return sizes;
}

TEST(WarmUpTest, DoublesTheSizeUpToTheLargestOnceEach) {
  EXPECT_THAT(SizesOf(1), ElementsAre(1));
  EXPECT_THAT(SizesOf(2), ElementsAre(1, 2));
  EXPECT_THAT(SizesOf(4), ElementsAre(1, 2, 4));
  EXPECT_THAT(SizesOf(6), ElementsAre(1, 2, 4, 6));
}

// It was every size twice: 65,792 pictures for --max-batch 256.
TEST(WarmUpTest, TheLargestBatchCostsAFewHundredPictures) {
  const std::vector<size_t> sizes = SizesOf(256);
  EXPECT_EQ(sizes.size(), 9U);
  EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), size_t{0}), 511U);
}

TEST(WarmUpTest, StopsAtTheFirstError) {
  int runs = 0;
  EXPECT_THAT(WarmUp(8,
                     [&](size_t) {
                       ++runs;
                       return absl::InternalError("broken");
                     }),
              StatusIs(absl::StatusCode::kInternal, "broken"));
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace orchard::model
