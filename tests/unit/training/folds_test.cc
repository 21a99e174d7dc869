#include "training/data/folds.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.h"
#include "tests/testing/status_matchers.h"
#include "training/data/split.h"

namespace orchard::training {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr size_t kFolds = 5;

/// `sizes`: of each class, the pictures of its groups.
PictureSet SetOf(const std::vector<std::vector<size_t>>& sizes) {
  PictureSet set{.domains = {{.name = "fruit", .branch = "sound", .classes = {}}},
                 .pictures = {},
                 .labels = {},
                 .sides = {},
                 .names = {},
                 .contents = {},
                 .groups = {},
                 .skipped = {}};
  for (size_t c = 0; c < sizes.size(); ++c) {
    set.domains[0].classes.push_back("class" + std::to_string(c));
    for (size_t g = 0; g < sizes[c].size(); ++g) {
      for (size_t i = 0; i < sizes[c][g]; ++i) {
        const std::string group = std::to_string(c) + "-" + std::to_string(g);
        set.labels.push_back({.domain = 0, .label = c});
        set.sides.push_back(Side::kTrain);
        set.names.push_back("fruit/class" + std::to_string(c) + "/" + group + "-" +
                            std::to_string(i));
        set.contents.push_back(core::Sha256Hex(set.names.back()));
        set.groups.push_back(group);
      }
    }
  }
  return set;
}

/// Two classes of many groups of one to three pictures, and one of five.
PictureSet Mixed() {
  std::vector<size_t> many;
  for (size_t g = 0; g < 40; ++g) many.push_back(1 + g % 3);
  return SetOf({many, many, {1, 1, 1, 1, 1}});
}

TEST(DealFoldsTest, NoGroupIsDividedAndEveryFoldHasItsShareOfEachClass) {
  const PictureSet set = Mixed();
  const std::vector<size_t> folds = DealFolds(Listing(set), kFolds);
  ASSERT_EQ(folds.size(), set.size());
  std::map<std::string, std::set<size_t>> of_group;
  std::vector<std::vector<size_t>> counts(3, std::vector<size_t>(kFolds));
  for (size_t i = 0; i < folds.size(); ++i) {
    ASSERT_LT(folds[i], kFolds);
    of_group[set.groups[i]].insert(folds[i]);
    ++counts[set.labels[i].label][folds[i]];
  }
  for (const auto& [group, its] : of_group) EXPECT_EQ(its.size(), 1U) << group;
  for (const std::vector<size_t>& count : counts) {
    const auto [least, most] = std::ranges::minmax_element(count);
    EXPECT_LE(*most - *least, 1U);
  }
  EXPECT_THAT(counts[2], Each(1U));
}

TEST(DealFoldsTest, WhatThePicturesAreDecidesAndNotTheirOrder) {
  const Dataset dataset = Listing(Mixed());
  Dataset turned = dataset;
  std::ranges::reverse(turned.pictures);
  std::vector<size_t> folds = DealFolds(turned, kFolds);
  std::ranges::reverse(folds);
  EXPECT_EQ(folds, DealFolds(dataset, kFolds));
}

TEST(HoldOutFoldTest, EveryPictureIsHeldOutOnceAndGroupsStayTogether) {
  v1::Data data;
  data.set_validation_share(0.2);
  PictureSet set = Mixed();
  std::vector<size_t> held_out(set.size());
  for (size_t fold = 0; fold < kFolds; ++fold) {
    ASSERT_THAT(HoldOutFold({.folds = kFolds, .held_out = fold}, data, set), IsOk());
    std::map<std::string, std::set<Side>> sides;
    for (size_t i = 0; i < set.size(); ++i) {
      held_out[i] += set.sides[i] == Side::kTest ? 1 : 0;
      sides[set.groups[i]].insert(set.sides[i]);
    }
    for (const auto& [group, its] : sides) EXPECT_EQ(its.size(), 1U) << group;
    EXPECT_FALSE(On(set.sides, Side::kValidation).empty());
  }
  EXPECT_THAT(held_out, Each(1U));
}

TEST(HoldOutFoldTest, ARawSplitHasDuplicatesOnBothSidesAndStillHoldsAllOutOnce) {
  v1::Data data;
  PictureSet set = Mixed();
  std::vector<size_t> held_out(set.size());
  size_t divided = 0;
  for (size_t fold = 0; fold < kFolds; ++fold) {
    ASSERT_THAT(HoldOutFold({.folds = kFolds, .held_out = fold, .raw = true}, data, set), IsOk());
    std::map<std::string, std::set<Side>> sides;
    for (size_t i = 0; i < set.size(); ++i) {
      held_out[i] += set.sides[i] == Side::kTest ? 1 : 0;
      sides[set.groups[i]].insert(set.sides[i]);
    }
    for (const auto& [group, its] : sides) divided += its.size() > 1 ? 1 : 0;
  }
  EXPECT_THAT(held_out, Each(1U));
  EXPECT_GT(divided, 40U);  // Of 52 groups of several pictures, each seen five times.
}

TEST(HoldOutFoldTest, AClassOfOneGroupCannotBeHeldOut) {
  PictureSet set = SetOf({{1, 1, 1, 1, 1}, {3}});
  size_t refused = 0;
  for (size_t fold = 0; fold < kFolds; ++fold) {
    const absl::Status status = HoldOutFold({.folds = kFolds, .held_out = fold}, v1::Data(), set);
    if (status.ok()) continue;
    ++refused;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("fruit/class1")));
  }
  EXPECT_EQ(refused, 1U);
}

}  // namespace
}  // namespace orchard::training
