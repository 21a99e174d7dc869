// What `orchard-train eval` measures on a tiny model, says, and records.
#include "training/measure/evaluate.h"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "absl/strings/str_format.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "model/loaded_model.h"
#include "model/manifest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_run.h"
#include "training/data/split.h"
#include "training/measure/record.h"
#include "training/measure/report.h"
#include "training/measure/served.h"
#include "training/studies/masked_moe/export.h"
#include "training/work_folder.h"

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
using ::testing::SizeIs;

using Json = nlohmann::ordered_json;

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

/// One tiny model for all tests: they only read it, and record into copies.
class EvaluateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    run_ = std::make_unique<TinyRun>();
    v1::Recipe recipe = TinyRecipe();
    recipe.mutable_optimisation()->set_epochs(1);
    recipe.set_framing(orchard::v1::WHOLE_PICTURE);
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

TEST_F(EvaluateTest, AModelCarriesItsSplitAndKnowsWhatItHasSeen) {
  // One more picture, and one of training's alone under another name: dealt anew, sides would
  // change.
  const fs::path data = Subset("more", {"leaf", "plain"});
  WritePicture(data / "plain" / "red" / "new.jpg", testing::DrawGrains(64, 64, 4321));
  const auto report = EvaluateModel({.model = Model(), .data = data, .split = "test"});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->left_out, 25U);
  EXPECT_EQ(report->domains[0].routed.total + report->domains[1].routed.total, 8U);
  const auto sides = ReadSides(Model() / "1" / "evaluation" / kSplit);
  ASSERT_THAT(sides, IsOk());
  EXPECT_THAT(*sides, SizeIs(32));
  ::testing::internal::CaptureStderr();
  ASSERT_THAT(EvaluateModel({.model = Model(), .data = data, .split = "all"}), IsOk());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("16 of 33 pictures were trained on"));
}

TEST_F(EvaluateTest, WhatIsExportedCanBeServed) {
  EXPECT_THAT(Export(run_->Places("work"), {.out = Model() / "1"}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--overwrite")));
  const auto loaded = model::LoadRouterModel(Model() / "1", /*max_batch=*/1);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->manifest.experts_size(), 2);
  EXPECT_EQ(loaded->manifest.encoder().preprocessing().framing(), orchard::v1::WHOLE_PICTURE);
}

TEST_F(EvaluateTest, MeasuresThePicturesOfASplitAndSaysHowManyItLeavesOut) {
  ::testing::internal::CaptureStderr();
  const auto report = EvaluateModel({.model = Model(), .data = Data(), .split = "test"});
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_THAT(report, IsOk());
  // A quarter of two classes of eight, in both domains.
  for (const DomainReport& domain : report->domains) {
    for (const Hits* hits : {&domain.encoder_only, &domain.oracle, &domain.gate1_oracle,
                             &domain.routed, &domain.routed_concept}) {
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

/// What the figures are made of, asked of the model without EvaluateModel.
struct Counted {
  std::map<std::string, Hits> routed, oracle, gate1_oracle;  // by domain
  Hits branch, domain;
};

Counted CountByHand(const fs::path& model, const fs::path& data) {
  Counted counted;
  const std::map<std::string, std::string> branch_of = {{"leaf", "sick"}, {"plain", "sound"}};
  const auto served = ServedModel::Load(model, /*threads=*/1, model::EncoderPrecision::kAuto);
  for (const auto& [domain, branch] : branch_of) {
    const std::vector<fs::path> files = *ListPictures(data / domain);
    const std::vector<Question> questions = QuestionsOf(files);
    const router::Catalogue& catalogue = (*served)->catalogue();
    const auto index = static_cast<size_t>(std::ranges::find(catalogue.domains, domain) -
                                           catalogue.domains.begin());
    std::vector<router::Options> pinned(1);
    pinned[0].policy = {.kind = moe::PolicyKind::kPinned, .pinned = index};
    const auto routed = *(*served)->Classify(questions, std::vector<router::Options>(1));
    const auto given = *(*served)->Classify(questions, pinned);
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string label = files[i].parent_path().filename();
      const auto right = [&](const router::Classification& answer) {
        const moe::ClassProbability& first = answer.classes.front();
        return first.domain == index && catalogue.classes[index][first.label] == label;
      };
      const bool branch_right = catalogue.branches[routed[i].routing.branch] == branch;
      counted.branch.Count(branch_right);
      const auto& domains = routed[i].routing.domains;
      const bool leaf = domains[0].log_probability >= domains[1].log_probability;
      counted.domain.Count(domain == (leaf ? "leaf" : "plain"));
      counted.routed[domain].Count(right(routed[i]));
      counted.oracle[domain].Count(right(given[i]));
      counted.gate1_oracle[domain].Count(branch_right && right(given[i]));
    }
  }
  return counted;
}

/// "12/16 0.750 (".
std::string Cell(const Hits& hits) {
  return absl::StrFormat("%d/%d %.3f (", hits.hits, hits.total, hits.Share());
}

TEST_F(EvaluateTest, ItsTextHasTheFiguresThatCountingByHandGives) {
  const Counted counted = CountByHand(Model() / "1", Data());
  const auto report = EvaluateModel({.model = Model(), .data = Data(), .split = "all"});
  ASSERT_THAT(report, IsOk());
  const std::string text = ToText(*report);
  EXPECT_EQ(report->left_out, 0U);
  EXPECT_THAT(text, HasSubstr("all 32 pictures"));
  EXPECT_THAT(text, HasSubstr("\nGate1 " + Cell(counted.branch)));
  EXPECT_THAT(text, HasSubstr("\nboth (domain) " + Cell(counted.domain)));
  // A branch has one domain here: Gate2 cannot be wrong where the branch is right.
  EXPECT_EQ(report->domain_in_branch.total, counted.branch.hits);
  EXPECT_EQ(report->domain_in_branch.hits, counted.branch.hits);
  double sum = 0.0;
  for (const DomainReport& domain : report->domains) {
    const size_t row = text.find("\n" + domain.name + " ");
    ASSERT_NE(row, std::string::npos);
    const std::string line = text.substr(row + 1, text.find('\n', row + 1) - row - 1);
    for (const Hits& hits : {counted.oracle.at(domain.name), counted.gate1_oracle.at(domain.name),
                             counted.routed.at(domain.name)}) {
      EXPECT_THAT(line, HasSubstr(Cell(hits)));
    }
    EXPECT_EQ(domain.routed.hits, counted.routed.at(domain.name).hits);
    EXPECT_EQ(domain.oracle.hits, counted.oracle.at(domain.name).hits);
    EXPECT_EQ(domain.gate1_oracle.hits, counted.gate1_oracle.at(domain.name).hits);
    sum += domain.routed.Share();
  }
  EXPECT_NEAR(report->mean, sum / 2, 1e-12);
  EXPECT_THAT(text, HasSubstr(absl::StrFormat("mean %.4f, by concept %.4f", report->mean,
                                              report->mean_by_concept)));
  for (const PolicyReport& policy : report->policies) {
    EXPECT_THAT(text, HasSubstr("\n" + policy.name + " "));
  }
  EXPECT_THAT(text, HasSubstr("unknown rejected: " + Cell(report->unknown_rejected)));
}

TEST_F(EvaluateTest, ItsJsonHasEveryField) {
  const auto report = EvaluateModel({.model = Model(), .data = Data(), .split = "test"});
  ASSERT_THAT(report, IsOk());
  const Json json = Json::parse(ToJson(*report));
  EXPECT_THAT(Keys(json),
              ElementsAre("model", "data", "left_out", "policy", "domains",
                          "domains_without_pictures", "classes_without_pictures", "mean",
                          "mean_by_concept", "branch", "domain", "domain_in_branch",
                          "calibration_error", "calibration_error_equal_width", "experts_asked",
                          "experts", "experts_asked_share", "exact_equals_dense", "known_accepted",
                          "unknown_rejected", "unknown_auroc", "unknown_fpr95", "policies"));
  EXPECT_EQ(json["model"], "default/1");
  EXPECT_EQ(json["data"], "8 pictures of the test split");
  EXPECT_EQ(json["left_out"], 24);
  EXPECT_EQ(json["policy"], "EXACT");
  EXPECT_EQ(json["mean"], report->mean);
  EXPECT_EQ(json["mean_by_concept"], report->mean_by_concept);
  EXPECT_EQ(json["calibration_error"], report->calibration_error);
  EXPECT_EQ(json["calibration_error_equal_width"], report->calibration_error_width);
  EXPECT_EQ(json["experts_asked"], report->experts);
  EXPECT_EQ(json["experts"], 2);
  EXPECT_EQ(json["experts_asked_share"], report->experts / 2);
  EXPECT_EQ(json["unknown_auroc"], report->unknown_auroc);
  EXPECT_EQ(json["unknown_fpr95"], report->unknown_fpr95);
  for (const auto& [name, hits] :
       std::map<std::string, Hits>{{"branch", report->branch},
                                   {"domain", report->domain},
                                   {"exact_equals_dense", report->exact_equals_dense},
                                   {"known_accepted", report->known_accepted},
                                   {"unknown_rejected", report->unknown_rejected}}) {
    ASSERT_THAT(Keys(json[name]), ElementsAre("hits", "total", "share", "low", "high")) << name;
    EXPECT_EQ(json[name]["hits"], hits.hits) << name;
    EXPECT_EQ(json[name]["total"], hits.total) << name;
    EXPECT_EQ(json[name]["share"], hits.Share()) << name;
    EXPECT_EQ(json[name]["low"], Wilson(hits.hits, hits.total).low) << name;
    EXPECT_EQ(json[name]["high"], Wilson(hits.hits, hits.total).high) << name;
  }
  ASSERT_THAT(json["domains"], SizeIs(2));
  for (size_t g = 0; g < 2; ++g) {
    const Json& domain = json["domains"][g];
    ASSERT_THAT(Keys(domain), ElementsAre("name", "encoder_only", "oracle", "gate1_oracle",
                                          "routed", "routed_concept", "routed_minus_encoder_only"));
    EXPECT_EQ(domain["name"], report->domains[g].name);
    EXPECT_EQ(domain["encoder_only"]["hits"], report->domains[g].encoder_only.hits);
    EXPECT_EQ(domain["oracle"]["hits"], report->domains[g].oracle.hits);
    EXPECT_EQ(domain["gate1_oracle"]["hits"], report->domains[g].gate1_oracle.hits);
    EXPECT_EQ(domain["routed"]["hits"], report->domains[g].routed.hits);
    EXPECT_EQ(domain["routed_concept"]["hits"], report->domains[g].routed_concept.hits);
    EXPECT_THAT(
        Keys(domain["routed_minus_encoder_only"]),
        ElementsAre("difference", "low", "high", "only_routed", "only_encoder_only", "mcnemar_p"));
    EXPECT_EQ(domain["routed_minus_encoder_only"]["difference"],
              report->domains[g].routed_against_encoder_only.Difference());
  }
  ASSERT_THAT(json["policies"], SizeIs(report->policies.size()));
  for (size_t p = 0; p < report->policies.size(); ++p) {
    const Json& policy = json["policies"][p];
    ASSERT_THAT(Keys(policy), ElementsAre("name", "right", "mean", "experts_asked"));
    EXPECT_EQ(policy["name"], report->policies[p].name);
    EXPECT_EQ(policy["right"]["hits"], report->policies[p].right.hits);
    EXPECT_EQ(policy["mean"], report->policies[p].mean);
    EXPECT_EQ(policy["experts_asked"], report->policies[p].experts);
  }
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
  const auto whole = EvaluateModel({.model = model, .data = Data(), .split = "test"});
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(Record(model, *whole), IsOk());
  const auto before = model::ReadManifest(model / "1");
  ASSERT_THAT(before, IsOk());
  const orchard::v1::Evaluation& first = before->evaluation();
  EXPECT_EQ(first.data(), "8 pictures of the test split");
  EXPECT_EQ(first.policy(), "EXACT");
  EXPECT_EQ(first.branch().hits(), whole->branch.hits);
  EXPECT_EQ(first.domain().hits(), whole->domain.hits);
  EXPECT_EQ(first.domain_in_branch().total(), whole->branch.hits);
  ASSERT_EQ(first.domains_size(), 2);
  EXPECT_EQ(first.domains(0).domain(), "leaf");
  EXPECT_EQ(first.domains(0).encoder_only().total(), 4U);
  EXPECT_EQ(first.domains(0).oracle().hits(), whole->domains[0].oracle.hits);
  EXPECT_EQ(first.domains(0).gate1_oracle().hits(), whole->domains[0].gate1_oracle.hits);
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
