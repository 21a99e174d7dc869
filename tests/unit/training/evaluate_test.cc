// What `orchard-train eval` measures on a tiny model, says, and records.
#include "training/evaluate.h"

#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "model/loaded_model.h"
#include "model/manifest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_run.h"
#include "training/export.h"
#include "training/record.h"
#include "training/report.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Json = nlohmann::ordered_json;

/// One tiny model for all tests: they only read it, and record into copies.
class EvaluateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    run_ = std::make_unique<TinyRun>();
    v1::Recipe recipe = TinyRecipe();
    recipe.mutable_optimisation()->set_epochs(1);
    ASSERT_THAT(Fit(recipe, run_->Places("work"), {}), IsOk());
    ASSERT_THAT(Export(run_->Places("work"), {.out = *run_ / "model" / "1"}), IsOk());
    const fs::path odd = *run_ / "data" / "unknown" / "odd";
    for (size_t i = 0; i < kPictures; ++i) {
      WritePicture(odd / (std::to_string(i) + ".jpg"), testing::DrawGradient(64, 48 + i));
    }
  }
  static void TearDownTestSuite() { run_.reset(); }

  static fs::path Model() { return *run_ / "model"; }
  static fs::path Data() { return *run_ / "data"; }

  /// A folder with the pictures of `folders` ("leaf/broad") alone, without group lists.
  fs::path Subset(const std::string& name, const std::vector<std::string>& folders) const {
    const fs::path data = root_ / name;
    for (const std::string& folder : folders) {
      fs::create_directories((data / folder).parent_path());
      fs::copy(Data() / folder, data / folder, fs::copy_options::recursive);
    }
    return data;
  }

  testing::TempDir root_;
  static inline std::unique_ptr<TinyRun> run_;
};

TEST_F(EvaluateTest, WhatIsExportedCanBeServed) {
  EXPECT_THAT(Export(run_->Places("work"), {.out = Model() / "1"}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--overwrite")));
  const auto loaded = model::LoadRouterModel(Model() / "1", /*max_batch=*/1);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->taxonomy.domains(), 2U);
}

TEST_F(EvaluateTest, MeasuresThePicturesOfASplitAndSaysHowManyItLeavesOut) {
  ::testing::internal::CaptureStderr();
  const auto report = EvaluateModel({.model = Model(), .data = Data()});
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_THAT(report, IsOk());
  // A quarter of two classes of eight, in both domains.
  for (const DomainReport& domain : report->domains) {
    for (const Hits* hits :
         {&domain.encoder_only, &domain.oracle, &domain.routed, &domain.routed_concept}) {
      EXPECT_EQ(hits->total, 4U) << domain.name;
    }
  }
  EXPECT_EQ(report->left_out, 24U);
  EXPECT_THAT(said, AllOf(HasSubstr("8 of 32 pictures"), HasSubstr("24 are left out"),
                          HasSubstr("--split all")));
  EXPECT_EQ(report->exact_equals_dense.hits, report->exact_equals_dense.total);
  EXPECT_EQ(report->unknown_rejected.total, kPictures);
  EXPECT_THAT(report->domains_without_pictures, IsEmpty());
  EXPECT_THAT(report->classes_without_pictures, IsEmpty());
}

TEST_F(EvaluateTest, TakesDataThatLacksClassesAndDomains) {
  const fs::path data = Subset("part", {"leaf/broad"});
  const auto report = EvaluateModel({.model = Model(), .data = data, .split = "all"});
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->domains_without_pictures, ElementsAre("plain"));
  EXPECT_THAT(report->classes_without_pictures, ElementsAre("leaf/narrow"));
  EXPECT_EQ(report->domains[0].routed.total, kPictures);
  EXPECT_EQ(report->domains[1].routed.total, 0U);
  EXPECT_EQ(report->mean, report->domains[0].routed.Share());
  // Classes keep the indices that the model gave them, or the flat head would be misread.
  const auto rest = EvaluateModel(
      {.model = Model(), .data = Subset("rest", {"leaf/narrow", "plain"}), .split = "all"});
  const auto whole = EvaluateModel({.model = Model(), .data = Data(), .split = "all"});
  ASSERT_THAT(rest, IsOk());
  ASSERT_THAT(whole, IsOk());
  EXPECT_EQ(report->domains[0].encoder_only.hits + rest->domains[0].encoder_only.hits,
            whole->domains[0].encoder_only.hits);
  EXPECT_EQ(report->domains[0].routed.hits + rest->domains[0].routed.hits,
            whole->domains[0].routed.hits);
  const std::string text = ToText(*report);
  EXPECT_THAT(text, HasSubstr("domains without a picture, left out of the means: plain\n"));
  EXPECT_THAT(text, HasSubstr("classes without a picture: leaf/narrow\n"));
  const Json json = Json::parse(ToJson(*report));
  EXPECT_TRUE(json["domains"][1]["routed"].is_null());
  EXPECT_TRUE(json["domains"][1]["routed_minus_encoder_only"].is_null());
}

TEST_F(EvaluateTest, NamesEveryFolderThatTheModelDoesNotKnow) {
  const fs::path data = Subset("part", {"leaf/broad", "plain"});
  fs::rename(data / "leaf" / "broad", data / "leaf" / "wide");
  fs::create_directories(data / "stone");
  fs::create_directories(data / ".cache");
  EXPECT_THAT(EvaluateModel({.model = Model(), .data = data, .split = "all"}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("leaf/wide, stone;"), Not(HasSubstr(".cache")))));
}

TEST_F(EvaluateTest, SaysThatASplitOfTooFewPicturesHasNone) {
  const fs::path data = Subset("part", {"leaf/broad"});
  for (size_t i = 1; i < kPictures; ++i) {
    fs::remove(data / "leaf" / "broad" / (std::to_string(i) + ".jpg"));
  }
  EXPECT_THAT(EvaluateModel({.model = Model(), .data = data}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--split all")));
}

TEST_F(EvaluateTest, WithoutUnknownPicturesTheirFiguresAreNull) {
  const fs::path data = Subset("part", {"leaf", "plain"});
  const auto report = EvaluateModel({.model = Model(), .data = data, .split = "all"});
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(ToText(*report), Not(HasSubstr("AUROC")));
  const Json json = Json::parse(ToJson(*report));
  for (const char* name : {"unknown_rejected", "unknown_auroc", "unknown_fpr95"}) {
    ASSERT_TRUE(json.contains(name)) << name;
    EXPECT_TRUE(json[name].is_null()) << name;
  }
  EXPECT_FALSE(json["known_accepted"].is_null());
}

TEST_F(EvaluateTest, RecordsIntoManifestAndProvenanceAndKeepsWhatItDidNotMeasure) {
  const fs::path model = root_ / "recorded";
  fs::copy(Model(), model, fs::copy_options::recursive);
  const auto whole = EvaluateModel({.model = model, .data = Data()});
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(Record(model, *whole), IsOk());
  const auto before = model::ReadManifest(model / "1");
  ASSERT_THAT(before, IsOk());
  const orchard::v1::Evaluation& first = before->evaluation();
  EXPECT_EQ(first.data(), "8 pictures of the test split");
  EXPECT_EQ(first.policy(), "EXACT");
  EXPECT_EQ(first.branch().hits(), whole->branch.hits);
  EXPECT_EQ(first.domain().hits(), whole->domain.hits);
  ASSERT_EQ(first.domains_size(), 2);
  EXPECT_EQ(first.domains(0).domain(), "leaf");
  EXPECT_EQ(first.domains(0).encoder_only().total(), 4U);
  EXPECT_EQ(first.domains(0).oracle().hits(), whole->domains[0].oracle.hits);
  EXPECT_EQ(first.domains(0).routed().hits(), whole->domains[0].routed.hits);
  EXPECT_EQ(first.domains(0).routed_concept().hits(), whole->domains[0].routed_concept.hits);
  EXPECT_EQ(first.mean_accuracy(), whole->mean);
  EXPECT_EQ(first.mean_concept(), whole->mean_by_concept);
  EXPECT_EQ(first.mean_experts(), whole->experts);
  EXPECT_EQ(first.calibration_error(), whole->calibration_error);
  EXPECT_EQ(first.unknown_auroc(), whole->unknown_auroc);
  EXPECT_EQ(first.unknown_fpr95(), whole->unknown_fpr95);
  EXPECT_EQ(first.unknown_rejected().total(), kPictures);
  EXPECT_EQ(first.known_accepted().total(), 8U);
  const auto provenance = core::ReadFile(model / "1" / "PROVENANCE.md");
  ASSERT_THAT(provenance, IsOk());
  EXPECT_THAT(*provenance, HasSubstr("On 8 pictures of the test split, policy EXACT"));

  const fs::path data = Subset("part", {"leaf/broad"});
  const auto part = EvaluateModel({.model = model, .data = data, .split = "all"});
  ASSERT_THAT(part, IsOk());
  ASSERT_THAT(Record(model, *part), IsOk());
  const auto after = model::ReadManifest(model / "1");
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->evaluation().data(), "all 8 pictures");
  ASSERT_EQ(after->evaluation().domains_size(), 1);  // `plain` was not measured.
  EXPECT_EQ(after->evaluation().unknown_auroc(), first.unknown_auroc());
  EXPECT_EQ(after->evaluation().unknown_fpr95(), first.unknown_fpr95());
  EXPECT_EQ(after->evaluation().unknown_rejected().total(), kPictures);
  const auto again = core::ReadFile(model / "1" / "PROVENANCE.md");
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(*again, AllOf(HasSubstr("On all 8 pictures"), Not(HasSubstr("| plain | - |"))));
}

}  // namespace
}  // namespace orchard::training
