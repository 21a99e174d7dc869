// Two vision transformers trained on drawn pictures, put under gates, and served as one model.
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.h"
#include "core/text.h"
#include "model/manifest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"
#include "tests/unit/training/kept_log.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "training/data/split.h"
#include "training/measure/questions.h"
#include "training/measure/served.h"
#include "training/studies/gates/export.h"
#include "training/studies/gates/fit.h"
#include "training/studies/gates/run.h"
#include "training/studies/vit_moe/export.h"
#include "training/studies/vit_moe/fit.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;
using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr size_t kPictures = 8;  ///< a class

/// Of the domain's two classes: 4 pictures each to train on, 2 to validate, 2 to test.
v1::Recipe ExpertRecipe(const char* domain) {
  v1::Recipe recipe;
  recipe.set_name(domain);
  recipe.set_seed(3);
  recipe.add_domains()->set_name(domain);
  recipe.mutable_domains(0)->set_branch("only");
  recipe.mutable_data()->set_validation_share(0.25);
  recipe.mutable_data()->set_test_share(0.25);
  wire::Preprocessing& p = *recipe.mutable_preprocessing();
  p.set_profile("tiny16");
  p.set_shorter_side(16);
  p.set_crop(16);
  p.set_framing(wire::WHOLE_PICTURE);
  for (int c = 0; c < 3; ++c) {
    p.add_mean(0.5F);
    p.add_std(0.25F);
  }
  v1::Optimisation& o = *recipe.mutable_optimisation();
  o.set_epochs(1);
  o.set_batch(4);
  o.set_head_rate(3e-3);
  wire::VitMoe& network = *recipe.mutable_vit_moe()->mutable_network();
  network.set_side(16);
  network.set_width(16);
  network.set_layers(2);
  network.set_heads(4);
  network.set_hidden(24);
  network.set_experts(4);
  network.set_top_k(2);
  return recipe;
}

/// The same pictures, of which one a class more is to validate: its expert was trained on it.
v1::Recipe GatesRecipe() {
  v1::Recipe recipe;
  recipe.set_name("both");
  recipe.set_seed(5);
  recipe.set_framing(wire::WHOLE_PICTURE);
  for (const auto& [name, branch] : {std::pair{"leaf", "plant"}, std::pair{"plain", "thing"}}) {
    v1::Domain& domain = *recipe.add_domains();
    domain.set_name(name);
    domain.set_branch(branch);
  }
  recipe.mutable_data()->set_validation_share(0.375);
  recipe.mutable_data()->set_test_share(0.25);
  v1::Optimisation& o = *recipe.mutable_optimisation();
  o.set_epochs(20);
  o.set_batch(4);
  o.set_head_rate(3e-3);
  recipe.mutable_gates()->set_pictures(10);
  recipe.mutable_provenance()->set_limits("Drawn pictures.");
  return recipe;
}

/// Everything is made once; the tests look at it.
class GatesRunTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    root_ = std::make_unique<testing::TempDir>();
    WriteTinyData(*root_ / "data", kPictures);
    WriteTinyLists(*root_ / "data", kPictures);
    ASSERT_THAT(testing::WriteTinyModel(*root_ / "encoder"), IsOk());  // Features that differ.
    for (const char* domain : {"leaf", "plain"}) {
      const RunPlaces places = Places(domain);
      ASSERT_THAT(FitVitMoe(ExpertRecipe(domain), places, {}), IsOk());
      ASSERT_THAT(ExportVitMoe(places, {.out = Expert(domain), .name = domain, .version = "3"}),
                  IsOk());
    }
    ASSERT_THAT(FitGates(GatesRecipe(), Places("gates"), {.log = &log_}), IsOk());
    ASSERT_THAT(ExportGates(Places("gates"), Options("model")), IsOk());
  }
  static void TearDownTestSuite() { root_.reset(); }

  static RunPlaces Places(const std::string& work) {
    return {.data = *root_ / "data",
            .weights = *root_ / "encoder",
            .work = *root_ / (work + "-run"),
            .threads = 2};
  }
  static fs::path Expert(const std::string& domain) { return *root_ / (domain + "-model"); }
  static ExportOptions Options(const char* out) {
    return {.out = *root_ / out,
            .name = "both",
            .version = "2",
            .experts = {"plain=" + Expert("plain").string(), "leaf=" + Expert("leaf").string()}};
  }
  static std::string Read(const fs::path& file) {
    const auto text = core::ReadFile(*root_ / file);
    EXPECT_THAT(text, IsOk());
    return text.value_or("");
  }

  static inline std::unique_ptr<testing::TempDir> root_;
  static inline KeptLog log_;
};

TEST_F(GatesRunTest, ExpertsKeepTheirBytesAndTheGatesHaveTheEncoderTheyLearnedOn) {
  const auto manifest = model::ReadManifest(*root_ / "model");
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(model::VersionName(*manifest), "both/2");
  EXPECT_THAT(manifest->gates().branches(), ElementsAre("plant", "thing"));
  EXPECT_EQ(manifest->gates().encoder_fingerprint(),
            ReadOutline(*root_ / "gates-run")->encoder().fingerprint());
  EXPECT_EQ(manifest->gates().unknown_score().kind(), "mahalanobis");
  ASSERT_THAT(manifest->experts(), SizeIs(2));
  for (const wire::ExpertPart& part : manifest->experts()) {
    const auto own = model::ReadManifest(Expert(part.domain()));
    ASSERT_THAT(own, IsOk());
    wire::ExpertPart wanted = own->experts(0);
    wanted.set_branch(part.domain() == "leaf" ? "plant" : "thing");
    EXPECT_EQ(part.DebugString(), wanted.DebugString());
    EXPECT_EQ(core::Sha256Hex(Read("model/" + part.file().path())), part.file().sha256());
  }
  EXPECT_FALSE(fs::exists(*root_ / "gates-run" / "unfinished"));
}

TEST_F(GatesRunTest, IsServedAndRoutesPicturesToTheirDomain) {
  const auto served =
      ServedModel::Load(*root_ / "model", /*threads=*/1, model::EncoderPrecision::kAuto);
  ASSERT_THAT(served, IsOk());
  const std::vector<std::string> domains = (*served)->catalogue().domains;
  ASSERT_THAT(domains, ElementsAre("leaf", "plain"));
  router::Options dense;
  dense.policy = {.kind = moe::PolicyKind::kDense};
  size_t accepted = 0, right = 0, asked = 0;
  for (size_t g = 0; g < domains.size(); ++g) {
    const auto files = ListPictures(*root_ / "data" / domains[g]);
    ASSERT_THAT(files, IsOk());
    const auto answers = (*served)->Classify(QuestionsOf(*files), {&dense, 1});
    ASSERT_THAT(answers, IsOk());
    for (const router::Classification& answer : *answers) {
      double sum = 0.0;
      for (const moe::ClassProbability& entry : answer.classes) sum += entry.probability;
      EXPECT_THAT(answer.classes, SizeIs(4));
      EXPECT_NEAR(sum, 1.0, 1e-5);
      const auto& routes = answer.routing.domains;
      right += routes[g].log_probability > routes[1 - g].log_probability ? 1 : 0;
      accepted += answer.outcome == moe::Outcome::kOk ? 1 : 0;
      ++asked;
    }
  }
  ASSERT_EQ(asked, 4 * kPictures);
  EXPECT_GE(right, asked - 4);  // The encoder's weights are random; half would be chance.
  EXPECT_GT(accepted, asked / 2);
}

TEST_F(GatesRunTest, WhatAnExpertWasTrainedOnCountsAsTrainingPictures) {
  const auto sides = ReadSides(*root_ / "model/evaluation" / kSplit);
  ASSERT_THAT(sides, IsOk());
  std::array<size_t, 3> counts{};
  for (const auto& [content, side] : *sides) ++counts[static_cast<size_t>(side)];
  EXPECT_THAT(counts, ElementsAre(16, 8, 8));  // By the gates' own shares 12, 12 and 8.
  for (const char* domain : {"leaf", "plain"}) {
    const auto own = ReadSides(Expert(domain) / "evaluation" / kSplit);
    ASSERT_THAT(own, IsOk());
    for (const auto& [content, side] : *own) EXPECT_EQ(sides->at(content), side);
  }
}

TEST_F(GatesRunTest, ItsRunLogHasPicturesEpochsAndFiles) {
  ASSERT_THAT(log_.begun, SizeIs(1));
  const Fact leaf = {.topic = "train", .name = "leaf", .value = std::int64_t{6}};
  const Fact drawn = {.topic = "drawn", .name = "validation", .value = std::int64_t{12}};
  EXPECT_THAT(log_.begun[0], AllOf(Contains(leaf), Contains(drawn)));
  ASSERT_THAT(log_.epochs, SizeIs(20));
  EXPECT_EQ(log_.epochs[19].phase, "gates");
  EXPECT_THAT(log_.files, Contains(Key(kBest)));
  EXPECT_THAT(log_.files.back(), Pair(kFinal, 0U));
}

TEST_F(GatesRunTest, SaysWhereItComesFrom) {
  EXPECT_THAT(Read("model/PROVENANCE.md"),
              AllOf(HasSubstr("# both/2"), HasSubstr("| leaf | plant | vit_moe | 2 | 8 | 4 | 4 |"),
                    HasSubstr("| leaf | leaf/3, domain leaf | `" +
                              model::ReadManifest(Expert("leaf"))->experts(0).file().sha256()),
                    HasSubstr("(20 epochs, seed 5)"), HasSubstr("16 training pictures"),
                    HasSubstr("8 validation pictures"), HasSubstr("Drawn pictures.")));
  EXPECT_EQ(Read("model/evaluation/recipe.textproto"), Read("gates-run/recipe.textproto"));
  EXPECT_EQ(Read("model/evaluation/leaf.recipe.textproto"), Read("leaf-run/recipe.textproto"));
}

TEST_F(GatesRunTest, ExportRefusesAModelThatIsThereExpertsThatAreNotAndAnUnfinishedRun) {
  EXPECT_THAT(ExportGates(Places("gates"), Options("model")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--overwrite")));
  ExportOptions options = Options("other");
  options.experts = {"leaf=" + Expert("plain").string()};
  EXPECT_THAT(ExportGates(Places("gates"), options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("class 0 is \"blue\" there and \"broad\" in the domain"),
                             HasSubstr("domain \"plain\" has no expert"))));
  fs::copy(*root_ / "gates-run", *root_ / "broken-run", fs::copy_options::recursive);
  fs::remove(*root_ / "broken-run" / kFinal);
  EXPECT_THAT(ExportGates(Places("broken"), Options("other")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("final.safetensors")));
  EXPECT_FALSE(fs::exists(*root_ / "other"));
}

TEST_F(GatesRunTest, TrainsTheSameGatesAgain) {
  ASSERT_THAT(FitGates(GatesRecipe(), Places("again"), {}), IsOk());
  for (const char* file : {kFinal, "encoder.safetensors", kOutline, kSplit}) {
    EXPECT_TRUE(Read(fs::path("again-run") / file) == Read(fs::path("gates-run") / file)) << file;
  }
  // Begun anew in the same folder, as after a kill.
  ASSERT_THAT(FitGates(GatesRecipe(), Places("again"), {}), IsOk());
  EXPECT_TRUE(Read(fs::path("again-run") / kFinal) == Read(fs::path("gates-run") / kFinal));
}

}  // namespace
}  // namespace orchard::training
