#include "experts/expert_spec.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "experts/part_digest.h"
#include "model/fingerprint.h"

namespace orchard::experts {
namespace {

/// The shape that the encoder offers for `kind`; nullptr when it does not.
const v1::FeatureSpec* Offered(const v1::EncoderPart& encoder, v1::FeatureKind kind) {
  for (const v1::FeatureSpec& offered : encoder.features()) {
    if (offered.kind() == kind) return &offered;
  }
  return nullptr;
}

std::string DigestOf(const v1::ModelManifest& manifest, const v1::ExpertPart& part,
                     core::FeatureKind kind) {
  const std::vector<std::string> classes(part.classes().begin(), part.classes().end());
  std::vector<std::string> concepts = classes;
  for (const v1::ConceptAlias& alias : manifest.concepts()) {
    if (alias.domain() != part.domain()) continue;
    for (size_t i = 0; i < classes.size(); ++i) {
      if (classes[i] == alias.label()) concepts[i] = alias.concept_label();
    }
  }
  return PartDigest(part.domain(), classes, concepts, kind);
}

struct Reads {
  core::FeatureKind kind;
  std::vector<std::int64_t> row_shape;
  std::string made_by;
};

/// Features of the encoder, or pictures.
absl::StatusOr<Reads> ReadsOf(const v1::ModelManifest& manifest, const v1::ExpertPart& part) {
  if (part.feature_kind() == v1::IMAGE) {
    const std::int64_t side = part.preprocessing().crop();
    return Reads{.kind = core::FeatureKind::kImage,
                 .row_shape = {side, side, 3},
                 .made_by = model::PictureFingerprint(part.preprocessing())};
  }
  const std::string kind = v1::FeatureKind_Name(part.feature_kind());
  const v1::FeatureSpec* const offered = Offered(manifest.encoder(), part.feature_kind());
  if (offered == nullptr || offered->shape().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("expert ", part.domain(), " reads ", kind,
                                                   ", which the encoder does not offer"));
  }
  for (const std::int64_t size : offered->shape()) {
    if (size > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("encoder offers ", kind, " with a dimension of ", size, ": it must be > 0"));
  }
  return Reads{
      .kind = part.feature_kind() == v1::MAP ? core::FeatureKind::kMap : core::FeatureKind::kPooled,
      .row_shape = {offered->shape().begin(), offered->shape().end()},
      .made_by = part.encoder_fingerprint()};
}

}  // namespace

size_t ExpertSpec::RowWidth() const {
  size_t width = 1;
  for (const std::int64_t size : row_shape) width *= static_cast<size_t>(size);
  return width;
}

size_t ExpertSpec::RowBytes() const {
  return RowWidth() * (kind == core::FeatureKind::kImage ? 1 : sizeof(float));
}

core::ViewSpec ExpertSpec::View() const {
  return {.kind = kind,
          .element = kind == core::FeatureKind::kImage ? core::ElementType::kUint8
                                                       : core::ElementType::kFloat32,
          .row_shape = row_shape,
          .made_by = encoder_fingerprint};
}

absl::Status CheckView(const core::View* view, const ExpertSpec& spec) {
  if (view == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("features: there are none that the expert of ", spec.domain, " reads"));
  }
  const core::ViewSpec& given = view->spec();
  if (given.kind == spec.kind && given.row_shape == spec.row_shape) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "features: rows of [", absl::StrJoin(given.row_shape, ", "), "]; the expert of ", spec.domain,
      " reads ", std::string(NameOf(spec.kind)), " [", absl::StrJoin(spec.row_shape, ", "), "]"));
}

absl::StatusOr<ExpertSpec> SpecOf(const v1::ModelManifest& manifest, int index) {
  const v1::ExpertPart& part = manifest.experts(index);
  ORCHARD_ASSIGN_OR_RETURN(const Reads reads, ReadsOf(manifest, part));
  return ExpertSpec{.domain = part.domain(),
                    .branch = part.branch(),
                    .classes = {part.classes().begin(), part.classes().end()},
                    .part_version = part.file().version(),
                    .encoder_fingerprint = reads.made_by,
                    .model = manifest.name(),
                    .part_digest = DigestOf(manifest, part, reads.kind),
                    .kind = reads.kind,
                    .row_shape = reads.row_shape};
}

absl::StatusOr<std::vector<ExpertSpec>> SpecsOf(const v1::ModelManifest& manifest) {
  std::vector<ExpertSpec> specs;
  for (int index = 0; index < manifest.experts_size(); ++index) {
    ORCHARD_ASSIGN_OR_RETURN(ExpertSpec spec, SpecOf(manifest, index));
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace orchard::experts
