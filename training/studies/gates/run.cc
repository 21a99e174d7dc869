#include "training/studies/gates/run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include <google/protobuf/text_format.h>
#include <torch/torch.h>

#include "core/status.h"
#include "core/text.h"
#include "router/profile.h"
#include "training/measure/served_encoder.h"
#include "training/recipe.h"
#include "training/studies/gates/pictures.h"
#include "training/studies/gates/statements.h"

namespace orchard::training {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

absl::Status WriteOutline(const fs::path& work, const wire::ModelManifest& outline) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(outline, &text);
  return core::WriteFile(work / kOutline, text);
}

absl::StatusOr<wire::ModelManifest> ReadOutline(const fs::path& work) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(work / kOutline));
  wire::ModelManifest outline;
  google::protobuf::TextFormat::Parser parser;
  if (parser.ParseFromString(text, &outline)) return outline;
  return absl::InvalidArgumentError(
      absl::StrCat((work / kOutline).string(), ": no text proto of orchard.v1.ModelManifest"));
}

absl::StatusOr<GateSide> EncodeSide(const model::Encoder& encoder, const v1::Recipe& recipe,
                                    const PictureSet& set, const std::vector<size_t>& pictures,
                                    size_t threads, const std::string& title) {
  GateSide side{.features = {}, .labels = LabelsOf(set, pictures)};
  ORCHARD_ASSIGN_OR_RETURN(
      side.features.pooled,
      PooledOfPictures(encoder, set.pictures, pictures, router::ProfileOf(PreprocessingOf(recipe)),
                       threads, title));
  return side;
}

absl::StatusOr<std::shared_ptr<GatesImpl>> NewGates(const v1::Recipe& recipe,
                                                    const std::vector<DomainClasses>& domains) {
  torch::manual_seed(Mix(recipe.seed(), /*a=*/0));
  return GatesImpl::Make(GateNetworkOf(recipe), TreeOf(domains), /*dropout=*/0.0);
}

}  // namespace orchard::training
