#include "training/studies/masked_moe/run.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include <ATen/Parallel.h>

#include "core/status.h"
#include "training/import.h"
#include "training/loop/callbacks.h"
#include "training/loop/device.h"
#include "training/recipe.h"

namespace orchard::training {

namespace fs = std::filesystem;

Snapshot AveragedState(const Snapshot& saved) {
  Snapshot state = Under(saved, "network.");
  for (const auto& [name, tensor] : Under(saved, "average.")) {
    if (name != "steps") state[name] = tensor;
  }
  return state;
}

std::vector<fs::path> Run::Files(const std::vector<size_t>& pictures) const {
  std::vector<fs::path> files;
  for (const size_t i : pictures) files.push_back(dataset.pictures[i].path);
  return files;
}

std::vector<Label> Run::Labels(const std::vector<size_t>& pictures) const {
  std::vector<Label> labels;
  for (const size_t i : pictures) labels.push_back(dataset.pictures[i].label);
  return labels;
}

namespace {

/// Puts every picture on its side.
absl::Status Deal(Run& run, bool go_on) {
  if (go_on) {
    size_t left_out = 0;
    ORCHARD_ASSIGN_OR_RETURN(run.sides, ReadSplit(run.places.work / kSplit, run.dataset, left_out));
    if (left_out > 0) {
      std::printf("%zu pictures have come since the run began: left out\n", left_out);
    }
  } else {
    run.sides = Split(run.dataset, run.recipe.data());
  }
  std::vector<Label> labels;
  for (const Picture& picture : run.dataset.pictures) labels.push_back(picture.label);
  return CheckClassesAreTrained(run.dataset.domains, labels, run.sides);
}

}  // namespace

absl::StatusOr<Run> PrepareRun(const v1::Recipe& recipe, const RunPlaces& places, bool go_on) {
  at::set_num_threads(static_cast<int>(places.threads));
  torch::manual_seed(Mix(recipe.seed(), /*a=*/0));  // New heads start from it.
  ORCHARD_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(places.device));
  Run run{.recipe = recipe,
          .places = places,
          .dataset = {},
          .sides = {},
          .network = nullptr,
          .device = device};
  ORCHARD_ASSIGN_OR_RETURN(run.dataset, ReadDataset(places.data, recipe, places.threads));
  ORCHARD_RETURN_IF_ERROR(Deal(run, go_on));
  ORCHARD_ASSIGN_OR_RETURN(run.network, MaskedMoeImpl::Make(recipe, run.dataset.domains));
  ORCHARD_ASSIGN_OR_RETURN(const nets::MobileNetV2 encoder, ImportEncoder(places.weights));
  run.network->StartFrom(*encoder);
  run.network->to(run.device);
  return run;
}

absl::StatusOr<Run> LoadRun(const RunPlaces& places) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(places.work / kRecipe, {}));
  ORCHARD_ASSIGN_OR_RETURN(Run run, PrepareRun(recipe, places, /*go_on=*/true));
  const bool finished = fs::exists(places.work / kFinal);
  if (!finished && recipe.masked_moe().linear_heads()) {
    return absl::FailedPreconditionError(absl::StrCat(
        (places.work / kFinal).string(),
        " is not there: with linear_heads a run has the recipe's heads only when it is finished"));
  }
  const fs::path file = places.work / (finished ? kFinal : kCheckpoint);
  ORCHARD_ASSIGN_OR_RETURN(const Snapshot saved, ReadSnapshot(file));
  ORCHARD_RETURN_IF_ERROR(core::Annotate(
      LoadModule(*run.network, finished ? saved : AveragedState(saved)), file.string()));
  run.network->eval();
  return run;
}

}  // namespace orchard::training
