// Gates over finished experts: what a recipe may say, which pictures are drawn, what gates learn,
// which experts are taken.
#include <map>

#include "absl/strings/str_split.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "model/manifest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"
#include "tests/testing/tiny_vit.h"
#include "tests/unit/training/kept_log.h"
#include "training/loop/callbacks.h"
#include "training/recipe.h"
#include "training/studies/gates/experts.h"
#include "training/studies/gates/fit.h"
#include "training/studies/gates/learn.h"
#include "training/studies/gates/pictures.h"
#include "training/studies/gates/run.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

/// Two branches, the second one with two domains: Gate1 and a Gate2.
v1::Recipe TinyRecipe() {
  v1::Recipe recipe;
  recipe.set_name("tiny");
  recipe.set_seed(4);
  recipe.set_framing(orchard::v1::WHOLE_PICTURE);
  for (const auto& [name, branch] :
       {std::pair{"sign", "road"}, std::pair{"fruit", "plant"}, std::pair{"leaf", "plant"}}) {
    v1::Domain& domain = *recipe.add_domains();
    domain.set_name(name);
    domain.set_branch(branch);
  }
  recipe.mutable_data()->set_validation_share(0.25);
  v1::Optimisation& o = *recipe.mutable_optimisation();
  o.set_epochs(4);
  o.set_batch(16);
  o.set_head_rate(3e-3);
  o.set_weight_decay(0.01);
  recipe.mutable_gates()->set_pictures(100);
  return recipe;
}

std::vector<DomainClasses> TinyDomains() {
  return {{"sign", "road", {"stop", "yield"}},
          {"fruit", "plant", {"apple", "pear", "plum"}},
          {"leaf", "plant", {"ash", "oak"}}};
}

TEST(GatesStatementsTest, ARecipeOfGatesHasNoFault) {
  EXPECT_THAT(Faults(TinyRecipe()), IsEmpty());
}

TEST(GatesStatementsTest, SaysAllThatIsWrongAtOnce) {
  v1::Recipe recipe = TinyRecipe();
  recipe.mutable_domains(0)->mutable_expert()->mutable_linear();
  recipe.mutable_domains(1)->set_quota(5);
  recipe.mutable_domains(2)->mutable_augmentation()->set_hue(0.1);
  recipe.mutable_augmentation()->set_hue(0.1);
  recipe.mutable_gates()->mutable_gate()->mutable_bottleneck_tail();
  recipe.mutable_gates()->set_unknown_rank(641);
  recipe.mutable_optimisation()->set_epochs(0);
  recipe.mutable_optimisation()->set_head_rate(0.0);
  recipe.mutable_optimisation()->set_encoder_rate(1e-3);
  EXPECT_THAT(
      Faults(recipe),
      ElementsAre(HasSubstr("domain \"sign\": expert must be absent: a finished one is named at "
                            "export (--expert sign=MODEL)"),
                  HasSubstr("domain \"fruit\": quota is 5"),
                  HasSubstr("domain \"leaf\": augmentation and mirrors must be absent"),
                  HasSubstr("gates.gate: bottleneck_tail reads the map"),
                  HasSubstr("gates.unknown_rank is 641, must be at most 640"),
                  HasSubstr("augmentation and mixing must be absent"),
                  HasSubstr("optimisation.epochs is 0"), HasSubstr("optimisation.head_rate is 0"),
                  HasSubstr("optimisation.encoder_rate and sides must be absent")));
  v1::Recipe alone = TinyRecipe();
  alone.mutable_domains()->DeleteSubrange(1, 2);
  EXPECT_THAT(Faults(alone), ElementsAre(HasSubstr("there are 1, must be at least 2")));
  v1::Recipe small = TinyRecipe();
  *small.mutable_preprocessing() = PreprocessingOf(small);
  small.mutable_preprocessing()->set_crop(192);
  small.mutable_preprocessing()->set_shorter_side(192);
  small.clear_framing();
  EXPECT_THAT(Faults(small), ElementsAre(HasSubstr("preprocessing.crop is 192, must be 224")));
}

TEST(GatesStatementsTest, FitRefusesWhatItCannotDoBeforeItReadsAnything) {
  const testing::TempDir dir;
  const RunPlaces places{.data = dir / "nowhere", .weights = dir / "nowhere", .work = dir / "work"};
  const auto refused = [&](const RunPlaces& where, const FitOptions& options, const char* word) {
    EXPECT_THAT(FitGates(TinyRecipe(), where, options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(word)));
  };
  refused(places, {.resume = true}, "--resume");
  refused(places, {.start_from = dir / "other"}, "--start-from");
  refused(places, {.stop_after = 1}, "--stop-after");
  refused(places, {.time_limit = 1.0}, "--time-limit");
  RunPlaces gpu = places;
  gpu.device = "cuda";
  refused(gpu, {}, "--device cuda");
  EXPECT_FALSE(fs::exists(places.work));
}

/// `per_class` pictures of each class on the training side, one on the validation side.
PictureSet NumberedSet(size_t per_class) {
  PictureSet set;
  set.domains = TinyDomains();
  for (size_t g = 0; g < set.domains.size(); ++g) {
    for (size_t c = 0; c < set.domains[g].classes.size(); ++c) {
      for (size_t i = 0; i <= per_class; ++i) {
        set.labels.push_back({.domain = g, .label = c});
        set.sides.push_back(i < per_class ? Side::kTrain : Side::kValidation);
        set.contents.push_back(std::to_string(set.contents.size()));
      }
    }
  }
  return set;
}

std::map<std::pair<size_t, size_t>, size_t> CountByClass(const PictureSet& set,
                                                         const std::vector<size_t>& pictures) {
  std::map<std::pair<size_t, size_t>, size_t> counts;
  for (const size_t i : pictures) ++counts[{set.labels[i].domain, set.labels[i].label}];
  return counts;
}

TEST(DrawPicturesTest, DrawsAtMostSoManyOfEachDomainAndLeavesNoClassOut) {
  const PictureSet set = NumberedSet(/*per_class=*/50);
  const auto drawn = DrawPictures(set, Side::kTrain, /*most=*/3, /*seed=*/7);
  ASSERT_THAT(drawn, IsOk());
  EXPECT_THAT(*drawn, SizeIs(9));
  EXPECT_THAT(CountByClass(set, *drawn), SizeIs(7));  // Three pictures of two or three classes.
  EXPECT_TRUE(std::ranges::is_sorted(*drawn));
  for (const size_t i : *drawn) EXPECT_EQ(set.sides[i], Side::kTrain);
  EXPECT_EQ(*DrawPictures(set, Side::kTrain, 3, 7), *drawn);
  EXPECT_NE(*DrawPictures(set, Side::kTrain, 3, 8), *drawn);
  EXPECT_THAT(*DrawPictures(set, Side::kTrain, 0, 7), SizeIs(350));
  EXPECT_THAT(*DrawPictures(set, Side::kValidation, 100, 7), SizeIs(7));
}

TEST(DrawPicturesTest, RefusesLessThanAPictureAClassAndADomainWithoutAny) {
  PictureSet set = NumberedSet(/*per_class=*/2);
  EXPECT_THAT(DrawPictures(set, Side::kTrain, 2, 7),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("gates.pictures is 2, domain \"fruit\" has 3 classes")));
  EXPECT_THAT(DrawPictures(set, Side::kTest, 100, 7),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("domain \"sign\" has no picture on the test side")));
}

TEST(MoveToTrainingTest, MovesADomainsPicturesThatItsExpertWasTrainedOn) {
  PictureSet set = NumberedSet(/*per_class=*/1);
  // Two pictures a class, the second of each on the validation side; "1" and "3" are the sign's.
  EXPECT_EQ(MoveToTraining({"0", "1", "5", "nobody's"}, /*domain=*/0, set), 1U);
  EXPECT_EQ(set.sides[1], Side::kTrain);
  EXPECT_EQ(set.sides[3], Side::kValidation);
  EXPECT_EQ(set.sides[5], Side::kValidation);  // Another domain's.
}

/// A cloud of features a domain, far from the others.
GateSide Clouds(const std::vector<DomainClasses>& domains, int64_t count, std::uint64_t seed) {
  torch::manual_seed(seed);
  GateSide side;
  std::vector<torch::Tensor> clouds;
  for (size_t g = 0; g < domains.size(); ++g) {
    torch::Tensor cloud = torch::rand({count, nets::kPooledWidth});
    cloud.narrow(1, static_cast<int64_t>(100 * g), 100).add_(0.5);
    clouds.push_back(cloud);
    for (int64_t i = 0; i < count; ++i) {
      side.labels.push_back({.domain = g, .label = static_cast<size_t>(i % 2)});
    }
  }
  side.features.pooled = torch::cat(clouds);
  return side;
}

TEST(LearnGatesTest, GatesLearnCloudsApartTheSameWayEveryTime) {
  const testing::TempDir dir;
  const v1::Recipe recipe = TinyRecipe();
  const GateSide train = Clouds(TinyDomains(), 64, 1), validation = Clouds(TinyDomains(), 20, 2);
  std::vector<std::string> bytes;
  for (const char* work : {"first", "second"}) {
    fs::create_directories(dir / work);
    const auto gates = NewGates(recipe, TinyDomains());
    ASSERT_THAT(gates, IsOk());
    KeptLog log;
    ASSERT_THAT(LearnGates(recipe, **gates, train, validation, dir / work, log), IsOk());
    EXPECT_THAT(log.epochs, SizeIs(4));
    ASSERT_THAT(log.files, Contains(Key(kBest)));
    const GateFigures figures = MeasureGates(**gates, validation);
    EXPECT_EQ(figures.branch.hits, 60U);
    EXPECT_EQ(figures.domain.hits, 60U);
    EXPECT_LT(figures.nll, 0.3);
    ASSERT_THAT(WriteNetwork(dir / work / kFinal, **gates), IsOk());
    bytes.push_back(*core::ReadFile(dir / work / kFinal));
    EXPECT_EQ(bytes.back(), *core::ReadFile(dir / work / kBest));  // What FP16 keeps.
    const std::string history = *core::ReadFile(dir / work / kHistory);
    EXPECT_THAT(std::vector<std::string>(absl::StrSplit(history, '\n', absl::SkipEmpty())),
                AllOf(SizeIs(4), Each(AllOf(HasSubstr("\"phase\":\"gates\""), HasSubstr("\"nll\":"),
                                            HasSubstr("\"validation\":")))));
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST(LearnGatesTest, GateTwoAloneDecidesWhereThereIsOneBranch) {
  const testing::TempDir dir;
  v1::Recipe recipe = TinyRecipe();
  std::vector<DomainClasses> domains = TinyDomains();
  for (DomainClasses& domain : domains) domain.branch = "all";
  const auto gates = NewGates(recipe, domains);
  ASSERT_THAT(gates, IsOk());
  for (const auto& item : (*gates)->named_parameters()) {
    EXPECT_THAT(item.key(), HasSubstr("domain.all."));
  }
  const GateSide validation = Clouds(domains, 20, 2);
  KeptLog log;
  ASSERT_THAT(LearnGates(recipe, **gates, Clouds(domains, 64, 1), validation, dir.path(), log),
              IsOk());
  EXPECT_EQ(MeasureGates(**gates, validation).domain.hits, 60U);
}

/// Outline of a model whose domains "sign" and "crop" have WriteTinyVit's classes.
orchard::v1::ModelManifest TinyOutline() {
  orchard::v1::ModelManifest outline;
  for (const char* domain : {"sign", "crop"}) {
    orchard::v1::ExpertPart& expert = *outline.add_experts();
    expert.set_domain(domain);
    for (const char* label : {"stop", "yield", "left", "right", "ahead"}) {
      expert.add_classes(label);
    }
  }
  return outline;
}

TEST(ReadExpertsTest, TakesModelsOfOneDomainInTheOutlinesOrder) {
  const testing::TempDir dir;
  ASSERT_THAT(testing::WriteTinyVit(dir / "signs" / "1"), IsOk());
  const std::string model = dir / "signs";  // A folder of versions.
  const auto experts = ReadExperts({"crop=" + model, "sign=" + model + "/1"}, TinyOutline());
  ASSERT_THAT(experts, IsOk());
  ASSERT_THAT(*experts, SizeIs(2));
  for (const FinishedExpert& expert : *experts) {
    EXPECT_EQ(expert.part().domain(), "sign");
    EXPECT_EQ(expert.weights, *core::ReadFile(dir / "signs/1/experts/sign.safetensors"));
  }
}

TEST(ReadExpertsTest, NamesEveryFaultAtOnce) {
  const testing::TempDir dir;
  ASSERT_THAT(testing::WriteTinyVit(dir / "vit"), IsOk());
  ASSERT_THAT(testing::WriteTinyModel(dir / "four"), IsOk());
  ASSERT_THAT(testing::WriteTinyVit(dir / "spoilt"), IsOk());
  ASSERT_THAT(core::WriteFile(dir / "spoilt/experts/sign.safetensors", "other"), IsOk());
  const std::string folder = dir.path();
  const auto faults = [&](const std::vector<std::string>& given,
                          const orchard::v1::ModelManifest& outline) -> std::vector<std::string> {
    const auto experts = ReadExperts(given, outline);
    EXPECT_FALSE(experts.ok());
    return absl::StrSplit(experts.status().message(), "; ");
  };
  EXPECT_THAT(faults({"sign", "=x", "tree=" + folder + "/vit", "sign=" + folder + "/vit",
                      "sign=" + folder + "/four"},
                     TinyOutline()),
              ElementsAre(HasSubstr("--expert sign: must be DOMAIN=MODEL"),
                          HasSubstr("--expert =x: must be DOMAIN=MODEL"),
                          HasSubstr("the recipe has no domain \"tree\""),
                          HasSubstr("it has sign, crop"), HasSubstr("the domain is given twice"),
                          HasSubstr("domain \"crop\" has no expert"),
                          HasSubstr("give --expert crop=MODEL")));
  EXPECT_THAT(faults({"sign=" + folder + "/nowhere", "crop=" + folder + "/four"}, TinyOutline()),
              AllOf(Contains(HasSubstr("/nowhere")),
                    Contains(HasSubstr("the model has 4 domains, must have one"))));
  EXPECT_THAT(faults({"sign=" + folder + "/spoilt", "crop=" + folder + "/vit"}, TinyOutline()),
              ElementsAre(AllOf(HasSubstr("--expert sign="), HasSubstr("is not the file of its"))));
  orchard::v1::ModelManifest other = TinyOutline();
  other.mutable_experts(0)->set_classes(3, "back");
  other.mutable_experts(1)->add_classes("up");
  EXPECT_THAT(faults({"sign=" + folder + "/vit", "crop=" + folder + "/vit"}, other),
              ElementsAre(HasSubstr("class 3 is \"right\" there and \"back\" in the domain"),
                          HasSubstr("its expert has 5 classes, the domain 6")));
}

TEST(ReadExpertsTest, RefusesAnExpertThatReadsFeatures) {
  const testing::TempDir dir;
  auto manifest = testing::WriteTinyModel(dir / "plants");
  ASSERT_THAT(manifest, IsOk());
  // Its first domain alone, under no gates.
  manifest->mutable_experts()->DeleteSubrange(1, manifest->experts_size() - 1);
  manifest->clear_gates();
  manifest->clear_abstention();
  manifest->clear_reference_routing();
  manifest->clear_evaluation();
  manifest->clear_concepts();
  ASSERT_THAT(model::WriteManifest(dir / "plants", *manifest), IsOk());
  orchard::v1::ModelManifest outline;
  *outline.add_experts() = manifest->experts(0);
  EXPECT_THAT(
      ReadExperts({manifest->experts(0).domain() + "=" + (dir / "plants").string()}, outline),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("of another encoder, must read IMAGE"), Not(HasSubstr("class")))));
}

}  // namespace
}  // namespace orchard::training
