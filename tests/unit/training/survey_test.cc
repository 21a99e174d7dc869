// What is said of a set of pictures before training: mean and deviation, pictures that are twice.
#include "training/data/survey.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/pictures.h"
#include "vision/recompress.h"

namespace orchard::training {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

PictureSet SetOf(std::vector<vision::Image> images, std::vector<Side> sides,
                 std::vector<size_t> labels) {
  PictureSet set{.domains = {{"leaf", "b", {"broad", "narrow"}}},
                 .pictures = {},
                 .labels = {},
                 .sides = std::move(sides),
                 .names = {},
                 .contents = {},
                 .groups = {},
                 .skipped = {"x.jpg: no picture"}};
  for (size_t i = 0; i < images.size(); ++i) {
    set.labels.push_back({.domain = 0, .label = labels[i]});
    set.names.push_back(std::to_string(i) + ".jpg");
  }
  set.pictures = PictureStore(std::move(images));
  return set;
}

TEST(StatisticsOfTest, WeighsEveryPixelAlike) {
  // One picture of 100 pixels, one of 300: means by hand.
  const PictureStore store(
      {testing::DrawPlain(10, 10, 0, 51, 255), testing::DrawPlain(10, 30, 255, 51, 255)});
  const PixelStatistics of = StatisticsOf(store, std::vector<size_t>{0, 1}, 2);
  EXPECT_EQ(of.pictures, 2U);
  EXPECT_NEAR(of.mean[0], 0.75, 1e-12);
  EXPECT_NEAR(of.mean[1], 0.2, 1e-12);
  EXPECT_NEAR(of.mean[2], 1.0, 1e-12);
  EXPECT_NEAR(of.deviation[0], std::sqrt(0.75 * 0.25), 1e-12);
  EXPECT_NEAR(of.deviation[1], 0.0, 1e-6);
  EXPECT_EQ(StatisticsOf(store, {}, 2).pictures, 0U);
}

TEST(FindTwinsTest, FindsEqualAndRecompressedPicturesAlone) {
  const vision::Image leaf = testing::DrawLeaf(64, 64, 1);
  const PictureStore store({leaf, testing::DrawGrains(64, 64, 2), vision::Recompress(leaf, 75),
                            testing::DrawGradient(64, 64), leaf});
  const std::vector<Twins> twins = FindTwins(store, 0.98, 2);
  ASSERT_THAT(twins, SizeIs(3));
  EXPECT_EQ(twins[0].second, 2U);
  EXPECT_FALSE(twins[0].exact);
  EXPECT_GT(twins[0].correlation, 0.98);
  EXPECT_EQ(twins[1].second, 4U);
  EXPECT_TRUE(twins[1].exact);
  EXPECT_EQ(twins[2].first, 2U);
}

TEST(FindTwinsTest, PlainPicturesOfDifferentColoursAreNotTwins) {
  const PictureStore store(
      {testing::DrawPlain(32, 32, 10, 10, 10), testing::DrawPlain(32, 32, 200, 0, 0)});
  EXPECT_THAT(FindTwins(store, 0.98, 1), IsEmpty());
}

TEST(ScanTextTest, NamesLeaksAndDoubleLabelsAndCountsAll) {
  const vision::Image a = testing::DrawLeaf(64, 64, 1);
  const vision::Image b = testing::DrawGrains(64, 64, 2);
  const vision::Image c = testing::DrawGradient(64, 64);
  const PictureSet set =
      SetOf({a, a, b, b, c, c},
            {Side::kTrain, Side::kTest, Side::kTrain, Side::kTrain, Side::kTrain, Side::kTrain},
            {0, 0, 0, 1, 1, 1});
  const std::string text = ScanText(set, 0.98, 2);
  EXPECT_THAT(text, HasSubstr("equal\tleaf/broad, train, 0.jpg\tleaf/broad, test, 1.jpg\n"));
  EXPECT_THAT(text, HasSubstr("leaf/broad, train, 2.jpg\tleaf/narrow, train, 3.jpg"));
  EXPECT_THAT(text, Not(HasSubstr("4.jpg")));
  EXPECT_THAT(text, HasSubstr("equal: 3 pairs, 1 of them on different sides, 1 of two classes\n"));
}

TEST(StatisticsTextTest, CountsClassesBySideAndSaysWhatWasLeftOut) {
  const PictureSet set =
      SetOf({testing::DrawPlain(4, 4, 255, 0, 0), testing::DrawPlain(4, 4, 0, 0, 0),
             testing::DrawPlain(4, 4, 0, 0, 0)},
            {Side::kTrain, Side::kTrain, Side::kTest}, {0, 1, 1});
  EXPECT_THAT(
      StatisticsText(set, 1),
      AllOf(HasSubstr("train               2   0.5000 0.0000 0.0000   0.5000 0.0000"),
            HasSubstr("leaf/narrow                                     1          0        1\n"),
            HasSubstr("left out: x.jpg: no picture\n")));
}

TEST(SurveyTextTest, ShowsNamesThatATerminalWouldObey) {
  const vision::Image leaf = testing::DrawLeaf(32, 32, 1);
  PictureSet set = SetOf({leaf, leaf}, {Side::kTrain, Side::kTest}, {0, 1});
  set.domains[0].classes[0] = "b\x1b[31mroad";
  set.names[0] = "a\nb\x1b]0;x.jpg";
  set.skipped = {"\x1b[2Jc.jpg: no picture"};
  const std::string statistics = StatisticsText(set, 1);
  EXPECT_THAT(statistics, AllOf(HasSubstr("leaf/b\\x1b[31mroad"), HasSubstr("\\x1b[2Jc.jpg"),
                                Not(HasSubstr("\x1b"))));
  EXPECT_THAT(ScanText(set, 0.98, 1),
              AllOf(HasSubstr("a\\nb\\x1b]0;x.jpg"), Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace orchard::training
