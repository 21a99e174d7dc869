#include "experts/expert_spec.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "experts/part_digest.h"

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

}  // namespace

size_t ExpertSpec::RowWidth() const {
  size_t width = 1;
  for (const std::int64_t size : row_shape) width *= static_cast<size_t>(size);
  return width;
}

absl::StatusOr<ExpertSpec> SpecOf(const v1::ModelManifest& manifest, int index) {
  const v1::ExpertPart& part = manifest.experts(index);
  const std::string kind = v1::FeatureKind_Name(part.feature_kind());
  if (part.feature_kind() != v1::POOLED && part.feature_kind() != v1::MAP) {
    return absl::InvalidArgumentError(absl::StrCat("expert ", part.domain(), " reads ", kind,
                                                   ": only POOLED and MAP are served"));
  }
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
  const core::FeatureKind kind_read =
      part.feature_kind() == v1::MAP ? core::FeatureKind::kMap : core::FeatureKind::kPooled;
  return ExpertSpec{.domain = part.domain(),
                    .branch = part.branch(),
                    .classes = {part.classes().begin(), part.classes().end()},
                    .part_version = part.file().version(),
                    .encoder_fingerprint = part.encoder_fingerprint(),
                    .model = manifest.name(),
                    .part_digest = DigestOf(manifest, part, kind_read),
                    .kind = kind_read,
                    .row_shape = {offered->shape().begin(), offered->shape().end()}};
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
