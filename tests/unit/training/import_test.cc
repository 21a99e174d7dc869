// Whether a pretrained network is read as what it is.
#include "training/import.h"

#include <cstdlib>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_run.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ImportTest, SaysWhereItLookedForWeights) {
  const testing::TempDir empty;
  EXPECT_THAT(ImportMobileNetV2(empty.path()).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(empty.path().string())));
}

TEST(ImportTest, JudgesByFirstClassesAndByProbabilities) {
  const ImportCheck good{
      .pictures = 60, .top1 = 47, .top5 = 55, .other_top1 = 0, .largest_difference = 0.0171};
  EXPECT_THAT(JudgeImport(good), IsOk());
  ImportCheck other = good;
  other.other_top1 = 1;
  EXPECT_THAT(JudgeImport(other), StatusIs(absl::StatusCode::kFailedPrecondition,
                                           HasSubstr("of 60 pictures 1 have another")));
  for (const double difference : {0.0201, std::numeric_limits<double>::infinity()}) {
    ImportCheck off = good;
    off.largest_difference = difference;
    EXPECT_THAT(JudgeImport(off),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("off by")));
  }
  EXPECT_THAT(JudgeImport({}), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("of 0")));
}

TEST(ImportTest, RandomWeightsAreNotTheReference) {
  const testing::TempDir weights;
  WriteWeights(weights.path());
  WritePicture(weights / "imagenet_check" / "a.jpg", testing::DrawLeaf(256, 256, 1));
  ASSERT_THAT(core::WriteFile(weights / "imagenet_check" / "labels.tsv",
                              "file\tlabel\twnid\tname\ttop1\tprobability\ttop5\n"
                              "a.jpg\t3\tn\tleaf\t3\t0.9\t3 1 2 4 5\n"),
              IsOk());
  auto network = ImportMobileNetV2(weights.path());
  ASSERT_THAT(network, IsOk());
  const auto check = CheckImport(*network, weights.path());
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ(check->pictures, 1U);
  EXPECT_GT(check->largest_difference, 0.02);
  EXPECT_THAT(JudgeImport(*check), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
}

TEST(ImportTest, RealWeightsGiveTheReferencesAnswers) {
  const char* const source = std::getenv("ORCHARD_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "run by ctest";
  const std::filesystem::path weights =
      std::filesystem::path(source).parent_path() / "shared" / "data" / "weights";
  if (!std::filesystem::exists(weights)) {
    GTEST_SKIP() << weights
                 << " is not there: the pretrained weights are no part of the repository";
  }
  auto network = ImportMobileNetV2(weights);
  ASSERT_THAT(network, IsOk());
  const auto check = CheckImport(*network, weights);
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ(check->pictures, 60U);
  EXPECT_EQ(check->top1, 47U);
  EXPECT_EQ(check->top5, 55U);
  EXPECT_THAT(JudgeImport(*check), IsOk());
}

}  // namespace
}  // namespace orchard::training
