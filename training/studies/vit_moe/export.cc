#include "training/studies/vit_moe/export.h"

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "core/text.h"
#include "model/manifest.h"
#include "nets/network.h"
#include "nets/vit_moe/vit_network.h"
#include "training/measure/calibration.h"
#include "training/measure/provenance.h"
#include "training/measure/statistics.h"
#include "training/parts.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/run.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

wire::Network NetworkOf(const v1::Recipe& recipe) {
  wire::Network network;
  *network.mutable_vit_moe() = recipe.vit_moe().network();
  return nets::Complete(network);
}

absl::Status CheckServable(const v1::Recipe& recipe) {
  const std::vector<std::string> faults = nets::ServingFaults(recipe.vit_moe().network());
  if (faults.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("can't be served: ", absl::StrJoin(faults, "; ")));
}

/// What was fitted on the validation pictures.
struct Calibrated {
  double temperature = 1.0;
  double confidence = 0.0;  ///< the threshold
  size_t pictures = 0;
};

absl::StatusOr<Calibrated> CalibrateOn(VitMoeRun& run) {
  const std::vector<size_t> pictures = run.On(Side::kValidation);
  if (pictures.empty()) {
    return absl::FailedPreconditionError(
        "the run has no validation pictures to fit a temperature on; set data.validation_share");
  }
  ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels, ServedViews(run, pictures));
  const Standardise standardise(PreprocessingOf(run.recipe), run.device);
  const torch::Tensor logits = Ask(run.network, standardise, pixels).log_probabilities;
  Calibrated calibrated{
      .temperature = FitTemperature(logits, run.Labels(pictures), kTemperaturePrior),
      .pictures = pictures.size()};
  const torch::Tensor best =
      std::get<0>((logits.to(torch::kFloat64) / calibrated.temperature).softmax(1).max(1))
          .contiguous();
  calibrated.confidence = ThresholdAtShare(
      {best.data_ptr<double>(), best.data_ptr<double>() + best.numel()}, kKnownAccepted);
  return calibrated;
}

absl::Status WriteEvaluationFolder(const VitMoeRun& run, const fs::path& out) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string recipe, core::ReadFile(run.places.work / kRecipe));
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(out / "evaluation" / kRecipe, recipe));
  if (HasTestSide(run.recipe.domains(0))) return absl::OkStatus();
  return WriteSides(out / "evaluation" / kSplit, run.set);
}

absl::Status WriteProvenance(const VitMoeRun& run, const wire::ModelManifest& manifest,
                             const fs::path& out) {
  const std::string how = absl::StrFormat(
      "Trained from random weights by the recipe in `evaluation/%s` (%d epochs, seed %d); of its "
      "networks the\none with the best validation is served. Validation pictures also fitted the "
      "temperature and the threshold;\nnothing was fitted to test pictures. Matrices and kernels "
      "are stored in FP16.",
      kRecipe, run.recipe.optimisation().epochs(), run.recipe.seed());
  const std::string pictures = PicturesTable(
      run.set.domains, {nets::NetworkName(NetworkOf(run.recipe))}, run.set.labels, run.set.sides);
  return core::WriteFile(out / kProvenance,
                         ProvenanceText(manifest, run.recipe.provenance(), pictures, how));
}

}  // namespace

absl::Status ExportVitMoe(const RunPlaces& places, const ExportOptions& options) {
  ORCHARD_RETURN_IF_ERROR(CheckVersionFolder(options));
  ORCHARD_ASSIGN_OR_RETURN(VitMoeRun run, LoadVitMoeRun(places, kBest));
  ORCHARD_RETURN_IF_ERROR(CheckServable(run.recipe));
  ORCHARD_ASSIGN_OR_RETURN(const Calibrated calibrated, CalibrateOn(run));
  ORCHARD_RETURN_IF_ERROR(BeginVersionFolder(options.out));
  const DomainClasses& domain = run.set.domains.front();
  wire::ModelManifest manifest;
  manifest.set_name(options.name);
  manifest.set_version(options.version);
  wire::ExpertPart& part = *manifest.add_experts();
  part.set_domain(domain.name);
  part.set_branch(domain.branch);
  *part.mutable_architecture()->mutable_network() = NetworkOf(run.recipe);
  part.set_feature_kind(wire::IMAGE);
  *part.mutable_preprocessing() = PreprocessingOf(run.recipe);
  for (const std::string& label : domain.classes) part.add_classes(label);
  part.set_temperature(calibrated.temperature);
  ORCHARD_ASSIGN_OR_RETURN(const std::string weights, core::ReadFile(places.work / kBest));
  ORCHARD_RETURN_IF_ERROR(WritePart(options.out,
                                    absl::StrCat("experts/", domain.name, ".safetensors"), weights,
                                    options.version, *part.mutable_file()));
  manifest.mutable_abstention()->set_confidence_threshold(calibrated.confidence);
  manifest.add_reference_routing(1.0);
  std::printf("temperature %.4f, confidence threshold %.4f, on %zu validation pictures\n",
              calibrated.temperature, calibrated.confidence, calibrated.pictures);
  ORCHARD_RETURN_IF_ERROR(model::WriteManifest(options.out, manifest));
  ORCHARD_RETURN_IF_ERROR(WriteEvaluationFolder(run, options.out));
  return WriteProvenance(run, manifest, options.out);
}

}  // namespace orchard::training
