// Which pictures there are, which belong together, and who is on which side.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "training/data/dataset.h"
#include "training/data/groups.h"
#include "training/data/split.h"
#include "training/recipe.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Recipe TinyRecipe() {
  v1::Recipe recipe;
  for (const auto& [name, branch] : {std::pair{"leaf", "sick"}, std::pair{"plain", "sound"}}) {
    v1::Domain& domain = *recipe.add_domains();
    domain.set_name(name);
    domain.set_branch(branch);
    domain.mutable_expert()->mutable_linear();
  }
  recipe.mutable_optimisation()->set_batch(4);
  recipe.mutable_masked_moe();
  return recipe;
}

TEST(ReadDatasetTest, FindsClassesInTheOrderOfTheirNames) {
  const testing::TempDir data;
  WriteTinyData(data.path(), 3);
  WriteTinyLists(data.path(), 3);
  const auto dataset = ReadDataset(data.path(), TinyRecipe());
  ASSERT_THAT(dataset, IsOk());
  EXPECT_THAT(dataset->domains[0].classes, ElementsAre("broad", "narrow"));
  EXPECT_THAT(dataset->domains[1].classes, ElementsAre("blue", "red"));
  EXPECT_THAT(dataset->pictures, SizeIs(12));
  EXPECT_THAT(dataset->dropped, IsEmpty());
}

TEST(ListPicturesTest, PassesOverWhatToolsLeaveBesidePictures) {
  const testing::TempDir data;
  const std::filesystem::path broad = data / "leaf" / "broad";
  for (const char* name :
       {"0.jpg", "._0.jpg", ".cache/1.jpg", "__MACOSX/2.jpg", "@eaDir/3.jpg", "deep/4.jpg"}) {
    WritePicture(broad / name, testing::DrawLeaf(20, 20, 1));
  }
  const auto pictures = ListPictures(broad);
  ASSERT_THAT(pictures, IsOk());
  EXPECT_THAT(*pictures, ElementsAre(broad / "0.jpg", broad / "deep" / "4.jpg"));
  const auto folders = ListFolders(broad);
  ASSERT_THAT(folders, IsOk());
  EXPECT_THAT(*folders, ElementsAre("deep"));
}

TEST(ListPicturesTest, SaysWhichFolderIsMissing) {
  const testing::TempDir data;
  const auto missing = StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere"));
  EXPECT_THAT(ListPictures(data / "nowhere"), missing);
  EXPECT_THAT(ListFolders(data / "nowhere"), missing);
}

TEST(ReadDatasetTest, SaysWhichFolderIsMissing) {
  const testing::TempDir data;
  EXPECT_THAT(ReadDataset(data.path(), TinyRecipe()).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("leaf")));
}

TEST(ReadDatasetTest, SaysWhichPictureItsListDoesNotName) {
  const testing::TempDir data;
  WriteTinyData(data.path(), 3);
  WriteTinyLists(data.path(), 2);
  EXPECT_THAT(ReadDataset(data.path(), TinyRecipe()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("broad/2")));
}

TEST(ReadDatasetTest, DropsAndNamesAGroupWithTwoLabels) {
  const testing::TempDir data;
  WriteTinyData(data.path(), 3);
  WriteTinyLists(data.path(), 3);
  // The same bytes under two labels, of two domains.
  const auto same = testing::DrawLeaf(64, 48, 7);
  WritePicture(data / "leaf" / "broad" / "0.jpg", same);
  WritePicture(data / "plain" / "red" / "1.jpg", same);
  const auto dataset = ReadDataset(data.path(), TinyRecipe());
  ASSERT_THAT(dataset, IsOk());
  EXPECT_THAT(dataset->pictures, SizeIs(10));
  ASSERT_THAT(dataset->dropped, SizeIs(1));
  EXPECT_THAT(dataset->dropped.front(), HasSubstr("leaf/broad, plain/red"));
}

TEST(ReadKnownDatasetTest, KeepsTheIndicesOfClassesWhoseFoldersAreMissing) {
  const testing::TempDir data;
  WritePicture(data / "plain" / "red" / "0.jpg", testing::DrawGrains(64, 64, 1));
  const std::vector<DomainClasses> domains = {{"leaf", "sick", {"broad", "narrow"}},
                                              {"plain", "sound", {"blue", "red"}}};
  const auto dataset = ReadKnownDataset(data.path(), domains);
  ASSERT_THAT(dataset, IsOk());
  ASSERT_THAT(dataset->pictures, SizeIs(1));
  EXPECT_EQ(dataset->pictures[0].label, (Label{.domain = 1, .label = 1}));
}

TEST(ReadDatasetTest, GroupsByWhatIsSeenWhereThereIsNoList) {
  const testing::TempDir data;
  const auto leaf = testing::DrawLeaf(128, 96, 3);
  WritePicture(data / "leaf" / "broad" / "a.jpg", leaf);
  std::filesystem::create_directories(data / "leaf" / "narrow");
  ASSERT_THAT(core::WriteFile(data / "leaf" / "broad" / "b.jpg",
                              testing::EncodeJpeg(leaf, {.quality = 60})),
              IsOk());
  WritePicture(data / "leaf" / "broad" / "c.jpg", testing::DrawGradient(128, 96));
  WritePicture(data / "leaf" / "narrow" / "d.jpg", testing::DrawGrains(128, 96, 5));
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_domains()->RemoveLast();
  const auto dataset = ReadDataset(data.path(), recipe);
  ASSERT_THAT(dataset, IsOk());
  std::set<std::string> groups;
  for (const Picture& picture : dataset->pictures) groups.insert(picture.group);
  EXPECT_THAT(groups, SizeIs(3));
  EXPECT_EQ(dataset->pictures[0].group, dataset->pictures[1].group);
}

TEST(PerceptualHashTest, SurvivesRecompressionAndTellsPicturesApart) {
  const auto leaf = testing::DrawLeaf(200, 150, 1);
  EXPECT_EQ(PerceptualHash(leaf), PerceptualHash(leaf));
  const int apart =
      std::popcount(PerceptualHash(leaf) ^ PerceptualHash(testing::DrawGradient(200, 150)));
  EXPECT_GT(apart, kSameHash);
}

/// `groups` groups a class of `size` pictures each, one domain of two classes.
Dataset Drawn(size_t groups, size_t size) {
  Dataset dataset{.domains = {{"d", "b", {"x", "y"}}}, .pictures = {}, .dropped = {}};
  for (size_t label = 0; label < 2; ++label) {
    for (size_t g = 0; g < groups; ++g) {
      for (size_t i = 0; i < size; ++i) {
        const std::string name = std::to_string(label) + "/" + std::to_string(g);
        dataset.pictures.push_back({.path = name,
                                    .label = {.domain = 0, .label = label},
                                    .content = core::Sha256Hex(name + std::to_string(i)),
                                    .group = name});
      }
    }
  }
  return dataset;
}

TEST(SplitTest, KeepsGroupsTogetherAndSharesInEveryClass) {
  const Dataset dataset = Drawn(/*groups=*/50, /*size=*/2);
  const std::vector<Side> sides = Split(dataset, 0.1, 0.2);
  for (size_t i = 0; i < sides.size(); i += 2) EXPECT_EQ(sides[i], sides[i + 1]);
  for (size_t label = 0; label < 2; ++label) {
    std::array<size_t, 3> count{};
    for (size_t i = 0; i < 100; ++i) ++count[static_cast<size_t>(sides[label * 100 + i])];
    EXPECT_THAT(count, ElementsAre(70, 10, 20));
  }
}

TEST(SplitTest, DependsOnContentAloneAndNotOnTheOrderOfFiles) {
  Dataset dataset = Drawn(20, 1);
  const std::vector<Side> sides = Split(dataset, 0.2, 0.2);
  std::map<std::string, Side> by_content;
  for (size_t i = 0; i < sides.size(); ++i) by_content[dataset.pictures[i].content] = sides[i];
  std::ranges::reverse(dataset.pictures);
  const std::vector<Side> again = Split(dataset, 0.2, 0.2);
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i], by_content[dataset.pictures[i].content]);
  }
}

TEST(SplitTest, TrainsOnAGroupThatIsLargerThanAShare) {
  const Dataset dataset = Drawn(/*groups=*/2, /*size=*/10);
  EXPECT_THAT(On(Split(dataset, 0.2, 0.2), Side::kTrain), SizeIs(40));
}

/// Pictures of one class, each a group; what they hold is their number.
Dataset Numbered(size_t count) {
  Dataset dataset{.domains = {{"d", "b", {"x", "y"}}}, .pictures = {}, .dropped = {}};
  for (size_t i = 0; i < count; ++i) {
    const std::string content = core::Sha256Hex(std::to_string(i));
    dataset.pictures.push_back(
        {.path = std::to_string(i), .label = {}, .content = content, .group = content});
  }
  return dataset;
}

TEST(SplitByHashTest, PicturesThatComeLeaveTheOthersWhereTheyAre) {
  const std::vector<Side> before = SplitByHash(Numbered(400), 0.1, 0.2);
  const std::vector<Side> after = SplitByHash(Numbered(500), 0.1, 0.2);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i], before[i]) << i;
  // Shares are met as chance has it: within four standard deviations.
  EXPECT_NEAR(static_cast<double>(On(before, Side::kTest).size()), 80, 32);
  EXPECT_NEAR(static_cast<double>(On(before, Side::kValidation).size()), 40, 24);
  // What RANKED does not promise.
  EXPECT_NE(std::vector<Side>(after.begin(), after.begin() + 400), Split(Numbered(400), 0.1, 0.2));
}

TEST(SplitByHashTest, RepresentsClassesOfThreeGroupsOnEverySide) {
  for (size_t first = 0; first < 60; ++first) {
    Dataset dataset = Numbered(first + 3);
    dataset.pictures.erase(dataset.pictures.begin(),
                           dataset.pictures.begin() + static_cast<std::ptrdiff_t>(first));
    const std::vector<Side> sides = SplitByHash(dataset, 0.1, 0.1);
    for (const Side side : {Side::kTrain, Side::kValidation, Side::kTest}) {
      if (side == Side::kTrain || On(sides, Side::kTrain).size() > 1) {
        EXPECT_GE(On(sides, side).size(), 1U) << first;
      }
    }
  }
}

TEST(SplitByHashTest, KeepsAGroupTogetherAndTrainsOnALargeOne) {
  const Dataset dataset = Drawn(/*groups=*/2, /*size=*/10);
  EXPECT_THAT(On(SplitByHash(dataset, 0.2, 0.2), Side::kTrain), SizeIs(40));
  v1::Data data;
  data.set_validation_share(0.2);
  EXPECT_EQ(Split(dataset, data), Split(dataset, 0.2, 0.0));
  data.set_dealing(v1::HASHED);
  EXPECT_EQ(Split(Numbered(50), data), SplitByHash(Numbered(50), 0.2, 0.0));
}

TEST(RecipeTest, OverridesAnyFieldByItsName) {
  v1::Recipe recipe = TinyRecipe();
  EXPECT_THAT(ApplyOverride(recipe, "epochs=3"), IsOk());
  EXPECT_THAT(ApplyOverride(recipe, "augmentation.min_area=0.5"), IsOk());
  EXPECT_THAT(ApplyOverride(recipe, "optimisation.sides=192,224"), IsOk());
  EXPECT_THAT(ApplyOverride(recipe, "head_epochs=7"), IsOk());
  EXPECT_THAT(ApplyOverride(recipe, "masked_moe.losses.branch=2"), IsOk());
  EXPECT_THAT(ApplyOverride(recipe, "label_smoothing=0.1"), IsOk());
  EXPECT_EQ(recipe.optimisation().epochs(), 3U);
  EXPECT_EQ(recipe.augmentation().min_area(), 0.5);
  EXPECT_THAT(recipe.optimisation().sides(), ElementsAre(192, 224));
  EXPECT_EQ(recipe.masked_moe().head_epochs(), 7U);
  EXPECT_EQ(recipe.masked_moe().losses().branch(), 2.0);
  EXPECT_EQ(recipe.masked_moe().losses().label_smoothing(), 0.1);
  v1::Recipe other;  // The same name, of another study.
  other.mutable_vit_moe();
  EXPECT_THAT(ApplyOverride(other, "label_smoothing=0.2"), IsOk());
  EXPECT_EQ(other.vit_moe().label_smoothing(), 0.2);
}

TEST(RecipeTest, RefusesWhatItDoesNotKnow) {
  v1::Recipe recipe = TinyRecipe();
  for (const char* wrong : {"epoch=3", "epochs", "epochs=many", "data.epochs=3"}) {
    EXPECT_THAT(ApplyOverride(recipe, wrong),
                StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_))
        << wrong;
  }
}

TEST(RecipeTest, ListsEveryFaultWithItsValue) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_optimisation()->set_batch(0);
  recipe.mutable_optimisation()->add_sides(200);
  recipe.mutable_augmentation()->set_min_area(0.0);
  recipe.mutable_domains(1)->set_name("leaf");
  EXPECT_THAT(Faults(recipe), ElementsAre(HasSubstr("twice"), HasSubstr("batch"), HasSubstr("200"),
                                          HasSubstr("min_area")));
}

TEST(RecipeTest, FindsWhatWouldOnlyFailHoursLater) {
  const auto faults_of = [](const auto& spoil) {
    v1::Recipe recipe = TinyRecipe();
    spoil(recipe);
    return Faults(recipe);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::function<void(v1::Recipe&)>, std::string>> cases = {
      {[](auto& r) {
         r.mutable_data()->set_validation_share(0.5);
         r.mutable_data()->set_test_share(0.5);
       },
       "data.validation_share + data.test_share is 1, must be under 1"},
      {[](auto& r) { r.mutable_data()->set_test_share(-0.1); }, "data.test_share is -0.1"},
      {[=](auto& r) { r.mutable_data()->set_test_share(nan); }, "data.test_share is nan"},
      {[=](auto& r) { r.mutable_optimisation()->set_average_decay(nan); }, "average_decay is nan"},
      {[](auto& r) {
         r.mutable_optimisation()->set_head_rate(std::numeric_limits<double>::infinity());
       },
       "optimisation.head_rate is inf, must be finite"},
      {[](auto& r) { r.mutable_masked_moe()->mutable_gate()->mutable_bottleneck_tail(); },
       "masked_moe.gate: bottleneck_tail reads the map; a gate reads pooled features"},
      {[](auto& r) { r.mutable_domains(0)->mutable_expert()->mutable_mlp()->set_hidden(40); },
       "domain \"leaf\": expert: mlp.hidden is 40, must be a multiple of 16"},
      {[](auto& r) { r.mutable_domains(0)->clear_expert(); }, "no network is named; known: "},
      {[](auto& r) { r.mutable_domains(0)->mutable_expert()->mutable_mobilenet_v2(); },
       "mobilenet_v2 is no gate and no expert"},
      {[](auto& r) { r.mutable_domains(0)->set_name("Äpfel und Birnen"); },
       "domain \"Äpfel und Birnen\" must be letters, digits, '_' and '-'"},
      {[](auto& r) { r.mutable_domains(1)->set_branch("very sick"); },
       "branch \"very sick\" must be letters"},
      {[](auto& r) { r.mutable_domains(0)->set_name("unknown"); }, "choose another name"},
      {[](auto& r) {
         v1::Concept& shared = *r.add_concepts();
         shared.set_label("thing");
         shared.add_classes("nowhere/thing");
       },
       "\"nowhere/thing\" must be <domain>/<class>"},
      {[](auto& r) { r.clear_study(); }, "study: none is named; known: masked_moe"},
  };
  for (const auto& [spoil, fault] : cases) {
    EXPECT_THAT(faults_of(spoil), ElementsAre(HasSubstr(fault))) << fault;
  }
}

TEST(RecipeTest, CheckedInRecipesHaveNoFault) {
  const char* const source = std::getenv("ORCHARD_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "run by ctest";
  size_t found = 0;
  const std::filesystem::path folder = std::filesystem::path(source) / "training" / "recipes";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_THAT(ReadRecipe(entry.path(), {}), IsOk()) << entry.path();
    ++found;
  }
  EXPECT_GE(found, 2U);
}

TEST(RecipeTest, FramesPicturesForTrainingAndServing) {
  v1::Recipe recipe = TinyRecipe();
  EXPECT_EQ(PreprocessingOf(recipe).framing(), orchard::v1::CENTRE_CROP);
  EXPECT_EQ(PreprocessingOf(recipe).shorter_side(), 256);
  recipe.set_framing(orchard::v1::WHOLE_PICTURE);
  EXPECT_EQ(PreprocessingOf(recipe).framing(), orchard::v1::WHOLE_PICTURE);
  EXPECT_EQ(PreprocessingOf(recipe).shorter_side(), PreprocessingOf(recipe).crop());
  ASSERT_THAT(ApplyOverride(recipe, "framing=CENTRE_CROP"), IsOk());
  EXPECT_EQ(recipe.framing(), orchard::v1::CENTRE_CROP);
  EXPECT_THAT(Faults(recipe), IsEmpty());
  recipe.set_framing(static_cast<orchard::v1::Framing>(7));
  EXPECT_THAT(Faults(recipe), ElementsAre(HasSubstr("framing is 7")));
}

TEST(RecipeTest, DomainSetsWhatItWantsOfTheAugmentation) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_augmentation()->set_horizontal_flip(0.5);
  recipe.mutable_augmentation()->set_brightness(0.2);
  recipe.mutable_domains(0)->mutable_augmentation()->set_horizontal_flip(0.0);
  const v1::Augmentation own = AugmentationOf(recipe, recipe.domains(0));
  EXPECT_EQ(own.horizontal_flip(), 0.0);
  EXPECT_EQ(own.brightness(), 0.2);
}

}  // namespace
}  // namespace orchard::training
