#include "model/manifest.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "model/internal/json.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/shared_model.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;

TEST(ManifestTest, WhatIsWrittenIsReadBack) {
  const v1::ModelManifest manifest = SharedManifest();
  const testing::TempDir dir;
  ASSERT_THAT(WriteManifest(dir.path(), manifest), IsOk());
  const auto read = ReadManifest(dir.path());
  ASSERT_THAT(read, IsOk());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*read, manifest));
}

TEST(ManifestTest, EqualManifestsGiveEqualBytes) {
  // Maps have no order of their own in memory: two ways of filling one must not show.
  v1::ModelManifest forwards = SharedManifest();
  v1::ModelManifest backwards = forwards;
  const auto fill = [](v1::ModelManifest& manifest, bool up) {
    auto& arguments = *manifest.mutable_experts(0)->mutable_architecture()->mutable_arguments();
    arguments.clear();
    for (int i = 0; i < 20; ++i) arguments["a" + std::to_string(up ? i : 19 - i)] = 1;
  };
  fill(forwards, true);
  fill(backwards, false);
  const testing::TempDir one;
  const testing::TempDir two;
  ASSERT_THAT(WriteManifest(one.path(), forwards), IsOk());
  ASSERT_THAT(WriteManifest(two.path(), backwards), IsOk());
  EXPECT_EQ(*core::ReadFile(one / "manifest.json"), *core::ReadFile(two / "manifest.json"));
}

TEST(ManifestTest, MissingFileIsNamed) {
  EXPECT_THAT(ReadManifest("/nowhere"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/manifest.json")));
}

TEST(ManifestTest, UnknownFieldsAreFaults) {
  const testing::TempDir dir;
  ASSERT_THAT(core::WriteFile(dir / "manifest.json", R"({"name": "a", "verison": "1"})"), IsOk());
  EXPECT_THAT(ReadManifest(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("manifest.json"), HasSubstr("verison"))));
}

TEST(ManifestTest, BrokenJsonIsNamed) {
  const testing::TempDir dir;
  ASSERT_THAT(core::WriteFile(dir / "manifest.json", R"({"name": )"), IsOk());
  EXPECT_THAT(ReadManifest(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("manifest.json")));
}

TEST(ManifestTest, EveryFaultIsReportedAtOnce) {
  v1::ModelManifest manifest = SharedManifest();
  manifest.mutable_experts(0)->set_temperature(0);
  manifest.mutable_experts(1)->set_branch("nowhere");
  const testing::TempDir dir;
  ASSERT_THAT(core::WriteFile(dir / "manifest.json",
                              internal::ToJson(manifest, internal::Layout::kReadable)),
              IsOk());
  EXPECT_THAT(ReadManifest(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("experts[fruit].temperature: 0 must be positive"),
                             HasSubstr("experts[vegetable].branch: \"nowhere\""))));
}

TEST(ManifestTest, WhatCouldNotBeReadIsNotWritten) {
  v1::ModelManifest manifest = SharedManifest();
  const testing::TempDir dir;
  ASSERT_THAT(WriteManifest(dir.path(), manifest), IsOk());
  manifest.mutable_experts(0)->set_domain("Äpfel");
  manifest.mutable_gates()->set_branch_temperature(-1.0);
  EXPECT_THAT(WriteManifest(dir.path(), manifest),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("manifest.json: not written: "), HasSubstr("experts[Äpfel]"),
                             HasSubstr("gates.branchTemperature: -1"))));
  EXPECT_THAT(ReadManifest(dir.path()), IsOk());  // The one before.
}

TEST(ManifestTest, AValidManifestHasNoFaults) { EXPECT_THAT(Faults(SharedManifest()), IsEmpty()); }

struct FaultCase {
  std::string name;
  std::function<void(v1::ModelManifest&)> spoil;
  std::string fault;
};

class ManifestFaultsTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(ManifestFaultsTest, IsTheOnlyFaultFound) {
  v1::ModelManifest manifest = SharedManifest();
  GetParam().spoil(manifest);
  EXPECT_THAT(Faults(manifest), ElementsAre(HasSubstr(GetParam().fault)));
}

using M = v1::ModelManifest;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Whole, ManifestFaultsTest,
    ::testing::Values(
        FaultCase{"Name", [](M& m) { m.set_name("a/b"); }, "name: \"a/b\""},
        FaultCase{"Version", [](M& m) { m.clear_version(); }, "version: is missing"},
        FaultCase{"RoutingSize", [](M& m) { m.mutable_reference_routing()->Add(0.0); },
                  "referenceRouting: has 5 entries for 4"},
        FaultCase{"RoutingSum", [](M& m) { m.set_reference_routing(0, 0.9); },
                  "referenceRouting: sums to"},
        FaultCase{"RoutingNan", [](M& m) { m.set_reference_routing(0, kNan); },
                  "referenceRouting: sums to"},
        FaultCase{"Confidence", [](M& m) { m.mutable_abstention()->set_confidence_threshold(1.5); },
                  "confidenceThreshold: 1.5 must be in [0, 1]"},
        FaultCase{"AliasOfNoDomain", [](M& m) { m.mutable_concepts(0)->set_domain("x"); },
                  "no domain \"x\""},
        FaultCase{"AliasOfNoLabel", [](M& m) { m.mutable_concepts(0)->set_label("x"); },
                  "no class \"x\""},
        FaultCase{"AliasTwice", [](M& m) { *m.add_concepts() = m.concepts(0); },
                  "concepts[fruit/maize]: is given twice"},
        FaultCase{"Proportion", [](M& m) { m.mutable_evaluation()->mutable_branch()->set_hits(1); },
                  "evaluation.branch: 1 hits of 0"},
        FaultCase{"EvaluationDomain",
                  [](M& m) { m.mutable_evaluation()->mutable_domains(0)->set_domain("x"); },
                  "evaluation.domains[x]: is not a domain"},
        FaultCase{"Gate2sProportion",
                  [](M& m) { m.mutable_evaluation()->mutable_domain_in_branch()->set_hits(2); },
                  "evaluation.domainInBranch: 2 hits of 0"}),
    [](const auto& param_info) { return param_info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    EncoderAndGates, ManifestFaultsTest,
    ::testing::Values(
        FaultCase{"CropOverSide",
                  [](M& m) { m.mutable_encoder()->mutable_preprocessing()->set_crop(300); },
                  "crop 300 must be in [1, shorterSide 256]"},
        FaultCase{"WholePictureOfTwoSides",
                  [](M& m) {
                    m.mutable_encoder()->mutable_preprocessing()->set_framing(v1::WHOLE_PICTURE);
                  },
                  "shorterSide 256 must be crop 224 with WHOLE_PICTURE"},
        FaultCase{"FramingOfTomorrow",
                  [](M& m) {
                    m.mutable_encoder()->mutable_preprocessing()->set_framing(
                        static_cast<v1::Framing>(7));
                  },
                  "framing: 7 is unknown"},
        FaultCase{"MeanOfTwo",
                  [](M& m) {
                    m.mutable_encoder()->mutable_preprocessing()->mutable_mean()->RemoveLast();
                  },
                  "mean: must be 3"},
        FaultCase{"StdOfZero",
                  [](M& m) { m.mutable_encoder()->mutable_preprocessing()->set_std(1, 0); },
                  "std: must be 3 positive"},
        FaultCase{"EncoderArchitecture",
                  [](M& m) { m.mutable_encoder()->mutable_architecture()->clear_name(); },
                  "encoder.architecture.name: is missing"},
        FaultCase{"FeatureTwice",
                  [](M& m) { *m.mutable_encoder()->add_features() = m.encoder().features(0); },
                  "is given twice"},
        FaultCase{"PathLeavesTheFolder",
                  [](M& m) { m.mutable_gates()->mutable_file()->set_path("../x"); },
                  "gates.file.path: \"../x\""},
        FaultCase{"AbsolutePath", [](M& m) { m.mutable_encoder()->mutable_file()->set_path("/x"); },
                  "encoder.file.path: \"/x\""},
        FaultCase{"ShortChecksum",
                  [](M& m) { m.mutable_gates()->mutable_file()->set_sha256("abc"); },
                  "gates.file.sha256: \"abc\""},
        FaultCase{"GatesOfAnotherEncoder",
                  [](M& m) { m.mutable_gates()->set_encoder_fingerprint("0123456789abcdef"); },
                  "gates.encoderFingerprint: \"0123456789abcdef\" is not the encoder's"},
        FaultCase{"BranchTemperature",
                  [](M& m) { m.mutable_gates()->set_branch_temperature(kNan); },
                  "branchTemperature: nan must be positive"},
        FaultCase{"DomainTemperatureMissing",
                  [](M& m) { m.mutable_gates()->mutable_domain_temperatures()->RemoveLast(); },
                  "domainTemperatures: has 1 entries for 2 branches"},
        FaultCase{"BranchWithoutDomain",
                  [](M& m) {
                    m.mutable_gates()->add_branches("empty");
                    m.mutable_gates()->add_domain_temperatures(1);
                  },
                  "\"empty\" has no domain"},
        FaultCase{"UnknownScoreKind",
                  [](M& m) { m.mutable_gates()->mutable_unknown_score()->clear_kind(); },
                  "unknownScore.kind: is missing"}),
    [](const auto& param_info) { return param_info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Experts, ManifestFaultsTest,
    ::testing::Values(
        FaultCase{"ExpertOfAnotherEncoder",
                  [](M& m) { m.mutable_experts(0)->set_encoder_fingerprint("x"); },
                  "experts[fruit].encoderFingerprint: \"x\" is not the encoder's"},
        FaultCase{"DomainTwice",
                  [](M& m) {
                    m.mutable_experts(2)->set_domain("vegetable");
                    m.clear_evaluation();  // It would name a domain that is gone.
                  },
                  "domain \"vegetable\" is given twice"},
        FaultCase{"ClassTwice", [](M& m) { m.mutable_experts(0)->set_classes(0, "tomato"); },
                  "experts[fruit].classes: \"tomato\" is given twice"},
        FaultCase{"OneClass",
                  [](M& m) { m.mutable_experts(3)->mutable_classes()->DeleteSubrange(1, 4); },
                  "experts[grain].classes: has 1 entries"},
        FaultCase{"NoFeatureKind", [](M& m) { m.mutable_experts(0)->clear_feature_kind(); },
                  "experts[fruit].featureKind: FEATURE_KIND_UNSPECIFIED"},
        FaultCase{"Temperature", [](M& m) { m.mutable_experts(0)->set_temperature(-1); },
                  "experts[fruit].temperature: -1 must be positive"}),
    [](const auto& param_info) { return param_info.param.name; });

/// One expert on pictures, nobody to choose it, and nothing else.
v1::ModelManifest OnPicturesAlone() {
  v1::ModelManifest manifest = SharedManifest();
  v1::ExpertPart part = manifest.experts(0);
  part.set_feature_kind(v1::IMAGE);
  part.clear_encoder_fingerprint();
  part.clear_branch();
  part.clear_architecture();
  part.mutable_architecture()->mutable_network()->mutable_vit_moe();
  *part.mutable_preprocessing() = manifest.encoder().preprocessing();
  v1::ModelManifest alone;
  alone.set_name("signs");
  alone.set_version("1");
  *alone.add_experts() = part;
  return alone;
}

TEST(ManifestTest, AnExpertOnPicturesNeedsNeitherGatesNorEncoder) {
  const v1::ModelManifest manifest = OnPicturesAlone();
  EXPECT_THAT(Faults(manifest), IsEmpty());
  const testing::TempDir dir;
  ASSERT_THAT(WriteManifest(dir.path(), manifest), IsOk());
  const auto read = ReadManifest(dir.path());
  ASSERT_THAT(read, IsOk());
  EXPECT_TRUE(read->experts(0).architecture().network().has_vit_moe());
  EXPECT_THAT(BranchNames(*read), ElementsAre("fruit"));
  const moe::Taxonomy taxonomy = TaxonomyOf(*read);
  EXPECT_EQ(taxonomy.branches, 1U);
  EXPECT_THAT(taxonomy.branch_of, ElementsAre(0));
}

class PictureFaultsTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(PictureFaultsTest, IsTheOnlyFaultFound) {
  v1::ModelManifest manifest = OnPicturesAlone();
  GetParam().spoil(manifest);
  EXPECT_THAT(Faults(manifest), ElementsAre(HasSubstr(GetParam().fault)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, PictureFaultsTest,
    ::testing::Values(
        FaultCase{"TwoExperts",
                  [](M& m) {
                    *m.add_experts() = m.experts(0);
                    m.mutable_experts(1)->set_domain("other");
                  },
                  "gates: are missing: 2 experts need gates"},
        FaultCase{"NoPreprocessing", [](M& m) { m.mutable_experts(0)->clear_preprocessing(); },
                  "experts[fruit].preprocessing: is missing"},
        FaultCase{"Crop",
                  [](M& m) { m.mutable_experts(0)->mutable_preprocessing()->set_crop(300); },
                  "experts[fruit].preprocessing: crop 300"},
        FaultCase{"OfAnEncoder",
                  [](M& m) { m.mutable_experts(0)->set_encoder_fingerprint("0123456789abcdef"); },
                  "experts[fruit].encoderFingerprint: must be empty"},
        FaultCase{"BranchThatIsNoName", [](M& m) { m.mutable_experts(0)->set_branch("a b"); },
                  "experts[fruit].branch: \"a b\""},
        FaultCase{"ThresholdWithoutScore",
                  [](M& m) { m.mutable_abstention()->set_unknown_threshold(-1.0); },
                  "unknownThreshold: has no gates.unknownScore"},
        FaultCase{"NameAndNetwork",
                  [](M& m) { m.mutable_experts(0)->mutable_architecture()->set_name("mlp"); },
                  "experts[fruit].architecture: has both"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(ManifestTest, FeaturesNeedTheirEncoder) {
  v1::ModelManifest manifest = OnPicturesAlone();
  manifest.mutable_experts(0)->set_feature_kind(v1::POOLED);
  EXPECT_THAT(Faults(manifest), ::testing::Contains(HasSubstr("encoder.architecture")));
  EXPECT_THAT(Faults(manifest), ::testing::Contains(HasSubstr("preprocessing: must be absent")));
}

TEST(TaxonomyTest, EqualLabelsAndAliasesAreOneConcept) {
  const v1::ModelManifest manifest = SharedManifest();
  const moe::Taxonomy taxonomy = TaxonomyOf(manifest);
  EXPECT_EQ(taxonomy.branches, 2U);
  EXPECT_THAT(taxonomy.branch_of, ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(taxonomy.classes, ElementsAre(3, 2, 4, 5));
  // fruit: apple, maize (an alias of corn), tomato; vegetable: corn, tomato.
  EXPECT_THAT(taxonomy.concept_of[0], ElementsAre(0, 1, 2));
  EXPECT_THAT(taxonomy.concept_of[1], ElementsAre(1, 2));
  EXPECT_EQ(taxonomy.concepts, 3U + 4U + 5U);
  const std::vector<std::string> names = ConceptNames(manifest);
  ASSERT_EQ(names.size(), taxonomy.concepts);
  EXPECT_EQ(names[0], "apple");
  EXPECT_EQ(names[1], "corn");
  EXPECT_EQ(names[2], "tomato");
}

TEST(ManifestTest, DomainsAreFoundByName) {
  const v1::ModelManifest manifest = SharedManifest();
  EXPECT_EQ(DomainIndex(manifest, "grain"), 3);
  EXPECT_EQ(DomainIndex(manifest, "moon"), -1);
  EXPECT_EQ(VersionName(manifest), "tiny/1");
}

}  // namespace
}  // namespace orchard::model
