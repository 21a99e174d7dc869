// Batches as a recipe wants them: mixed pictures, mirrored labels, whatever the number of threads.
#include "training/data/mixing.h"

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "training/data/loader.h"
#include "training/data/mirrors.h"
#include "training/loop/picture_task.h"
#include "training/recipe.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kSide = 32;
constexpr size_t kArea = kSide * kSide;

TEST(CutBoxTest, HasTheShareThatLambdaLeavesAndIsCutOffAtTheEdge) {
  EXPECT_EQ(CutBox(32, 0.75, 0.5, 0.5).area(), 16U * 16U);  // Side √.25 · 32.
  EXPECT_EQ(CutBox(32, 1.0, 0.3, 0.3).area(), 0U);
  EXPECT_EQ(CutBox(32, 0.0, 0.5, 0.5).area(), kArea);
  const Box corner = CutBox(32, 0.75, 0.0, 1.0);  // A quarter of the box is inside.
  EXPECT_EQ(corner.left, 0U);
  EXPECT_EQ(corner.right, 8U);
  EXPECT_EQ(corner.top, 24U);
  EXPECT_EQ(corner.bottom, 32U);
}

TEST(DrawBetaTest, HasMeanAndVarianceOfItsDistribution) {
  for (const double alpha : {0.2, 1.0, 2.0}) {
    std::mt19937_64 random(3);
    double sum = 0;
    double squares = 0;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      const double x = DrawBeta(alpha, random);
      ASSERT_TRUE(x >= 0.0 && x <= 1.0);
      sum += x;
      squares += (x - 0.5) * (x - 0.5);
    }
    EXPECT_NEAR(sum / kDraws, 0.5, 0.01);
    EXPECT_NEAR(squares / kDraws, 1.0 / (4 * (2 * alpha + 1)), 0.004) << alpha;
  }
}

/// Picture i is of one colour, 60 i, and of class i of four.
Batch PlainBatch(size_t count) {
  Batch batch{.pixels = torch::empty({static_cast<int64_t>(count), 32, 32, 3}, torch::kUInt8)};
  for (size_t i = 0; i < count; ++i) {
    batch.pixels[static_cast<int64_t>(i)].fill_(static_cast<int64_t>(60 * i));
    batch.labels.push_back({.domain = 0, .label = i});
  }
  return batch;
}
const std::vector<size_t> kFlat = {0, 1, 2, 3};

TEST(MixPicturesTest, CutMixsTargetsAreTheSharesOfThePixels) {
  std::set<double> lambdas;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Batch batch = PlainBatch(4);
    MixPictures({.cutmix = 1.0}, kFlat, 4, seed, batch);
    ASSERT_TRUE(batch.targets.defined());
    EXPECT_THAT(batch.labels, IsEmpty());
    EXPECT_TRUE(torch::allclose(batch.targets.sum(1), torch::ones({4})));
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t c = 0; c < 4; ++c) {
        const double share =
            (batch.pixels[i].select(2, 0) == 60 * c).to(torch::kFloat64).mean().item<double>();
        EXPECT_NEAR(batch.targets[i][c].item<double>(), share, 1e-6);
      }
      lambdas.insert(batch.targets[i][i].item<double>());
    }
  }
  EXPECT_GT(lambdas.size(), 30U);
}

TEST(MixPicturesTest, MixupBlendsPixelsAsItBlendsTargets) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Batch batch = PlainBatch(4);
    MixPictures({.mixup = 1.0, .mixup_alpha = 0.8}, kFlat, 4, seed, batch);
    ASSERT_TRUE(batch.targets.defined());
    for (int64_t i = 0; i < 4; ++i) {
      double want = 0;
      for (int64_t c = 0; c < 4; ++c) {
        want += 60.0 * static_cast<double>(c) * batch.targets[i][c].item<double>();
      }
      EXPECT_NEAR(batch.pixels[i][5][5][1].item<double>(), want, 0.51);
    }
  }
}

TEST(MixPicturesTest, MixesAsOftenAsItIsAsked) {
  int mixed = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Batch batch = PlainBatch(4);
    MixPictures({.cutmix = 0.25, .mixup = 0.25}, kFlat, 4, seed, batch);
    if (batch.targets.defined()) {
      ++mixed;
    } else {
      EXPECT_TRUE(batch.pixels.equal(PlainBatch(4).pixels));
      EXPECT_THAT(batch.labels, SizeIs(4));
    }
  }
  EXPECT_NEAR(mixed, 200, 40);
}

TEST(MixPicturesTest, TakesPartialBatchesOfTwoAndLeavesOneAlone) {
  Batch two = PlainBatch(2);
  MixPictures({.cutmix = 1.0}, std::vector<size_t>{0, 1}, 4, 1, two);
  EXPECT_TRUE(two.targets.defined());
  Batch one = PlainBatch(1);
  MixPictures({.cutmix = 1.0}, std::vector<size_t>{0}, 4, 1, one);
  EXPECT_FALSE(one.targets.defined());
}

DomainClasses Signs() {
  return {.name = "sign", .branch = "sign", .classes = {"left", "right", "ahead", "20"}};
}

v1::Domain SignDomain(const std::vector<std::pair<std::string, std::string>>& mirrors) {
  v1::Domain domain;
  domain.set_name("sign");
  domain.set_branch("sign");
  for (const auto& [one, other] : mirrors) {
    v1::Mirror& mirror = *domain.add_mirrors();
    mirror.set_one(one);
    mirror.set_other(other);
  }
  return domain;
}

TEST(MirrorsTest, SaysWhatAClassBecomes) {
  const auto mirrors = MirrorsOf(SignDomain({{"left", "1"}, {"ahead", ""}}), Signs());
  ASSERT_THAT(mirrors, IsOk());
  EXPECT_EQ(mirrors->Of(0), 1U);
  EXPECT_EQ(mirrors->Of(1), 0U);
  EXPECT_EQ(mirrors->Of(2), 2U);
  EXPECT_EQ(mirrors->Of(3), std::nullopt);
  EXPECT_EQ(MirrorsOf(SignDomain({}), Signs())->Of(3), 3U);
}

TEST(MirrorsTest, RefusesClassesThatAreNotThereOrTwice) {
  EXPECT_THAT(MirrorsOf(SignDomain({{"back", ""}}), Signs()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no class \"back\"")));
  EXPECT_THAT(MirrorsOf(SignDomain({{"left", "right"}, {"right", ""}}), Signs()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"right\" is there twice")));
}

/// One picture a class: dark on the left, light on the right.
class LoaderTaskTest : public ::testing::Test {
 protected:
  LoaderTaskTest() {
    std::vector<vision::Image> images;
    for (size_t i = 0; i < 4; ++i) {
      images.push_back(testing::DrawGradient(kSide, kSide));
      labels_.push_back({.domain = 0, .label = i});
    }
    store_ = PictureStore(std::move(images));
    *recipe_.add_domains() = SignDomain({{"left", "right"}, {"ahead", ""}});
    recipe_.set_seed(7);
    recipe_.set_framing(orchard::v1::WHOLE_PICTURE);
    recipe_.mutable_optimisation()->set_batch(8);
    recipe_.mutable_optimisation()->set_epochs(2);
    recipe_.mutable_optimisation()->add_sides(kSide);
    recipe_.mutable_data()->set_epoch_pictures(160);
  }

  PictureTask Task(size_t threads, std::vector<size_t> pictures = {}) {
    return {
        store_, labels_, recipe_, {Signs()}, {.pictures = std::move(pictures), .threads = threads}};
  }

  PictureStore store_;
  std::vector<Label> labels_;
  v1::Recipe recipe_;
};

TEST_F(LoaderTaskTest, TheLabelFollowsTheFlip) {
  recipe_.mutable_augmentation()->set_horizontal_flip(0.5);
  PictureTask task = Task(2);
  task.BeginEpoch(0);
  std::map<std::pair<size_t, bool>, int> seen;  // label, mirrored
  for (size_t step = 0; step < task.steps(); ++step) {
    const Batch batch = task.Next();
    for (size_t i = 0; i < 8; ++i) {
      const torch::Tensor row = batch.pixels[static_cast<int64_t>(i)][0].select(1, 0);
      ++seen[{batch.labels[i].label, row[0].item<int>() > row[31].item<int>()}];
    }
  }
  // Of "left" and "right" as many came from the other as were its own; "20" is never flipped.
  for (const size_t label : {0U, 1U, 2U}) {
    EXPECT_GT((seen[{label, true}]), 5) << label;
    EXPECT_GT((seen[{label, false}]), 5) << label;
  }
  EXPECT_EQ((seen[{3, true}]), 0);
  EXPECT_GT((seen[{3, false}]), 20);
}

/// Everything on.
void AskForAll(v1::Recipe& recipe) {
  v1::Augmentation& a = *recipe.mutable_augmentation();
  a.set_min_area(0.6);
  a.set_horizontal_flip(0.5);
  a.set_brightness(0.1);
  a.set_contrast(0.1);
  a.set_saturation(0.1);
  a.set_erasing(0.3);
  a.set_rotation(15);
  a.set_pad(4);
  a.mutable_rand_augment()->set_operations(2);
  a.mutable_rand_augment()->set_magnitude(9);
  a.set_jpeg(0.5);
  recipe.mutable_mixing()->set_cutmix(0.4);
  recipe.mutable_mixing()->set_mixup(0.3);
}

TEST_F(LoaderTaskTest, BatchesDependOnSeedAndEpochAndNotOnThreads) {
  AskForAll(recipe_);
  PictureTask one = Task(1);
  PictureTask many = Task(5);
  one.BeginEpoch(0);
  many.BeginEpoch(0);
  size_t mixed = 0;
  for (size_t step = 0; step < one.steps(); ++step) {
    const Batch a = one.Next();
    const Batch b = many.Next();
    EXPECT_TRUE(a.pixels.equal(b.pixels));
    EXPECT_EQ(a.labels, b.labels);
    ASSERT_EQ(a.targets.defined(), b.targets.defined());
    if (!a.targets.defined()) continue;
    EXPECT_TRUE(a.targets.equal(b.targets));
    ++mixed;
  }
  EXPECT_GT(mixed, 5U);
  // A run that goes on at the second epoch sees what one that never stopped sees.
  PictureTask resumed = Task(3);
  one.BeginEpoch(1);
  resumed.BeginEpoch(1);
  EXPECT_TRUE(one.Next().pixels.equal(resumed.Next().pixels));
}

TEST_F(LoaderTaskTest, LastEpochsMaySeeWholePictures) {
  recipe_.mutable_mixing()->set_cutmix(1.0);
  recipe_.mutable_mixing()->set_off_epochs(1);
  PictureTask task = Task(1);
  task.BeginEpoch(0);
  EXPECT_TRUE(task.Next().targets.defined());
  task.BeginEpoch(1);
  EXPECT_FALSE(task.Next().targets.defined());
}

TEST_F(LoaderTaskTest, DrawsThePicturesThatItIsGivenAlone) {
  PictureTask task = Task(1, {1, 3});
  task.BeginEpoch(0);
  std::set<size_t> seen;
  for (size_t step = 0; step < task.steps(); ++step) {
    for (const Label& label : task.Next().labels) seen.insert(label.label);
  }
  EXPECT_THAT(seen, ElementsAre(1, 3));
}

TEST(AugmentationStatementsTest, EachHasItsRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::function<void(v1::Recipe&)>, std::string>> cases = {
      {[](auto& r) { r.mutable_augmentation()->set_rotation(181); },
       "augmentation.rotation is 181"},
      {[=](auto& r) { r.mutable_augmentation()->set_rotation(nan); },
       "augmentation.rotation is nan"},
      {[](auto& r) { r.mutable_augmentation()->set_pad(65); }, "augmentation.pad is 65"},
      {[](auto& r) { r.mutable_augmentation()->mutable_rand_augment()->set_magnitude(31); },
       "rand_augment.magnitude is 31, must be in [0, 30]"},
      {[](auto& r) { r.mutable_augmentation()->mutable_rand_augment()->set_operations(9); },
       "rand_augment.operations is 9"},
      {[](auto& r) { r.mutable_augmentation()->set_jpeg(1.5); }, "augmentation.jpeg is 1.5"},
      {[](auto& r) { r.mutable_augmentation()->set_jpeg_quality(0); }, "jpeg_quality is 0"},
      {[](auto& r) { r.mutable_augmentation()->set_weather(-0.5); },
       "augmentation.weather is -0.5"},
      {[](auto& r) { r.mutable_augmentation()->set_erasing_max_area(0.01); },
       "erasing_min_area is 0.02, erasing_max_area 0.01"},
      {[](auto& r) {
         r.mutable_domains(0)->mutable_gtsrb();
         r.mutable_augmentation()->set_horizontal_flip(0.5);
       },
       "say in mirrors which classes may be flipped"},
      {[](auto& r) {
         r.mutable_domains(0)->mutable_gtsrb();
         r.mutable_augmentation()->set_vertical_flip(0.5);
       },
       "signs can't be turned over; vertical_flip is 0.5"},
      {[](auto& r) {
         r.mutable_mixing()->set_cutmix(0.7);
         r.mutable_mixing()->set_mixup(0.7);
       },
       "mixing.cutmix + mixing.mixup is 1.4, must be at most 1"},
      {[](auto& r) { r.mutable_mixing()->set_cutmix_alpha(3); }, "mixing.cutmix_alpha is 3"},
      {[](auto& r) { r.mutable_mixing()->set_mixup(0.5); }, "masked_moe learns from"},
  };
  for (const auto& [spoil, fault] : cases) {
    v1::Recipe recipe;
    *recipe.add_domains() = SignDomain({});
    recipe.mutable_domains(0)->mutable_expert()->mutable_linear();
    recipe.mutable_optimisation()->set_batch(4);
    recipe.mutable_masked_moe();
    ASSERT_THAT(Faults(recipe), IsEmpty());
    spoil(recipe);
    EXPECT_THAT(Faults(recipe), ::testing::Contains(HasSubstr(fault))) << fault;
  }
}

}  // namespace
}  // namespace orchard::training
