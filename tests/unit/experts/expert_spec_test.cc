#include "experts/expert_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

v1::ModelManifest Manifest() {
  v1::ModelManifest manifest;
  v1::FeatureSpec& map = *manifest.mutable_encoder()->add_features();
  map.set_kind(v1::MAP);
  for (const int size : {320, 7, 7}) map.add_shape(size);
  v1::ExpertPart& part = *manifest.add_experts();
  part.set_domain("rice");
  part.set_branch("non_disease");
  part.add_classes("basmati");
  part.add_classes("jasmine");
  part.mutable_file()->set_version("3");
  part.set_encoder_fingerprint("0123456789abcdef");
  part.set_feature_kind(v1::MAP);
  return manifest;
}

TEST(SpecOfTest, JoinsPartAndEncoder) {
  const auto spec = SpecOf(Manifest(), 0);
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->domain, "rice");
  EXPECT_EQ(spec->branch, "non_disease");
  EXPECT_EQ(spec->part_version, "3");
  EXPECT_EQ(spec->encoder_fingerprint, "0123456789abcdef");
  EXPECT_EQ(spec->kind, core::FeatureKind::kMap);
  EXPECT_THAT(spec->classes, ElementsAre("basmati", "jasmine"));
  EXPECT_THAT(spec->row_shape, ElementsAre(320, 7, 7));
  EXPECT_EQ(spec->RowWidth(), 320U * 7 * 7);
  EXPECT_EQ(SpecsOf(Manifest())->size(), 1U);
}

TEST(SpecOfTest, SaysWhatThePartMeans) {
  v1::ModelManifest manifest = Manifest();
  manifest.set_name("garden");
  const ExpertSpec ours = *SpecOf(manifest, 0);
  EXPECT_EQ(ours.model, "garden");
  manifest.set_version("2");
  manifest.mutable_experts(0)->mutable_file()->set_version("4");
  manifest.mutable_experts(0)->mutable_file()->set_sha256("other weights");
  EXPECT_EQ(SpecOf(manifest, 0)->part_digest, ours.part_digest);
  v1::ConceptAlias& alias = *manifest.add_concepts();
  alias.set_domain("rice");
  alias.set_label("jasmine");
  alias.set_concept_label("long grain");
  EXPECT_NE(SpecOf(manifest, 0)->part_digest, ours.part_digest);
  alias.set_domain("wheat");  // Another domain's is not ours.
  EXPECT_EQ(SpecOf(manifest, 0)->part_digest, ours.part_digest);
  manifest.mutable_experts(0)->mutable_classes()->SwapElements(0, 1);
  EXPECT_NE(SpecOf(manifest, 0)->part_digest, ours.part_digest);
}

TEST(SpecOfTest, RefusesFeaturesThatTheEncoderDoesNotOffer) {
  v1::ModelManifest manifest = Manifest();
  manifest.mutable_experts(0)->set_feature_kind(v1::POOLED);
  EXPECT_THAT(SpecOf(manifest, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("rice"), HasSubstr("POOLED"), HasSubstr("offer"))));
  EXPECT_THAT(SpecsOf(manifest), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rice")));
}

TEST(SpecOfTest, APicturesMakerIsHowItIsFramedAndResized) {
  v1::ModelManifest manifest = Manifest();
  v1::ExpertPart& part = *manifest.mutable_experts(0);
  part.set_feature_kind(v1::IMAGE);
  part.clear_encoder_fingerprint();
  part.mutable_preprocessing()->set_shorter_side(48);
  part.mutable_preprocessing()->set_crop(32);
  const auto spec = SpecOf(manifest, 0);
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->kind, core::FeatureKind::kImage);
  EXPECT_THAT(spec->row_shape, ElementsAre(32, 32, 3));
  EXPECT_EQ(spec->RowBytes(), 32U * 32 * 3);
  EXPECT_EQ(spec->encoder_fingerprint.size(), 16U);
  // The expert standardises for itself; the router frames.
  part.mutable_preprocessing()->add_mean(0.5F);
  part.mutable_preprocessing()->set_profile("another name");
  EXPECT_EQ(SpecOf(manifest, 0)->encoder_fingerprint, spec->encoder_fingerprint);
  manifest.mutable_encoder()->set_fingerprint("another encoder");
  EXPECT_EQ(SpecOf(manifest, 0)->encoder_fingerprint, spec->encoder_fingerprint);
  part.mutable_preprocessing()->set_framing(v1::WHOLE_PICTURE);
  EXPECT_NE(SpecOf(manifest, 0)->encoder_fingerprint, spec->encoder_fingerprint);
}

TEST(SpecOfTest, RefusesAnEmptyDimension) {
  v1::ModelManifest manifest = Manifest();
  manifest.mutable_encoder()->mutable_features(0)->set_shape(1, 0);
  EXPECT_THAT(SpecOf(manifest, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dimension of 0")));
}

}  // namespace
}  // namespace orchard::experts
