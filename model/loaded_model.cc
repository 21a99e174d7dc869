#include "model/loaded_model.h"

#include <algorithm>
#include <utility>

#include "core/status.h"
#include "model/manifest.h"
#include "model/warm_up.h"

namespace orchard::model {
namespace {

constexpr size_t kExpertBatch = 4;  // rows; larger sub-batches prepare themselves when they come

absl::Status WarmUp(const RouterModel& model, size_t max_batch) {
  if (model.encoder == nullptr) return absl::OkStatus();
  const size_t crop = model.manifest.encoder().preprocessing().crop();
  return model::WarmUp(max_batch, [&](size_t rows) -> absl::Status {
    const std::vector<std::uint8_t> grey(rows * crop * crop * 3, 128);
    ORCHARD_ASSIGN_OR_RETURN(const core::FeatureBatch features, model.encoder->Encode(grey, rows));
    return model.gates == nullptr ? absl::OkStatus() : model.gates->Evaluate(features).status();
  });
}

absl::Status WarmUp(ExpertHead& expert) {
  ORCHARD_RETURN_IF_ERROR(model::WarmUp(kExpertBatch, [&](size_t rows) -> absl::Status {
    const std::vector<float> features(rows * expert.row_width(), 0.5F);
    return expert.Score(features, rows).status();
  }));
  expert.StartCounting();  // Of pictures that somebody asks about.
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RouterModel> LoadRouterModel(const std::filesystem::path& version_dir,
                                            v1::ModelManifest manifest, size_t max_batch,
                                            EncoderPrecision precision) {
  PrepareInferenceThread();
  RouterModel model;
  model.manifest = std::move(manifest);
  if (model.manifest.has_encoder()) {
    ORCHARD_ASSIGN_OR_RETURN(model.encoder,
                             Encoder::Load(version_dir, model.manifest.encoder(), precision));
  }
  if (model.manifest.has_gates()) {
    ORCHARD_ASSIGN_OR_RETURN(model.gates, Gates::Load(version_dir, model.manifest));
  }
  ORCHARD_RETURN_IF_ERROR(WarmUp(model, max_batch));
  return model;
}

absl::StatusOr<RouterModel> LoadRouterModel(const std::filesystem::path& version_dir,
                                            size_t max_batch, EncoderPrecision precision) {
  ORCHARD_ASSIGN_OR_RETURN(v1::ModelManifest manifest, ReadManifest(version_dir));
  return LoadRouterModel(version_dir, std::move(manifest), max_batch, precision);
}

absl::StatusOr<std::vector<std::unique_ptr<ExpertHead>>> LoadExperts(
    const std::filesystem::path& version_dir, const v1::ModelManifest& manifest,
    const std::vector<std::string>& domains) {
  PrepareInferenceThread();
  for (const std::string& domain : domains) {
    if (DomainIndex(manifest, domain) >= 0) continue;
    return ExpertHead::Load(version_dir, manifest, domain).status();  // Says which there are.
  }
  std::vector<std::unique_ptr<ExpertHead>> experts;
  for (const v1::ExpertPart& part : manifest.experts()) {
    if (!domains.empty() && std::ranges::find(domains, part.domain()) == domains.end()) continue;
    ORCHARD_ASSIGN_OR_RETURN(std::unique_ptr<ExpertHead> expert,
                             ExpertHead::Load(version_dir, manifest, part.domain()));
    ORCHARD_RETURN_IF_ERROR(WarmUp(*expert));
    experts.push_back(std::move(expert));
  }
  return experts;
}

absl::StatusOr<std::vector<std::unique_ptr<ExpertHead>>> LoadExperts(
    const std::filesystem::path& version_dir, const std::vector<std::string>& domains) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, ReadManifest(version_dir));
  return LoadExperts(version_dir, manifest, domains);
}

}  // namespace orchard::model
