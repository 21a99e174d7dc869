#include "training/run.h"

#include "absl/strings/str_cat.h"
#include <ATen/Parallel.h>

#include "core/status.h"
#include "training/import.h"
#include "training/recipe.h"

namespace orchard::training {

namespace fs = std::filesystem;

Snapshot NetworkState(const MaskedMoeImpl& network) {
  Snapshot state;
  for (const auto& item : network.named_parameters()) state[item.key()] = item.value();
  for (const auto& item : network.named_buffers()) state[item.key()] = item.value();
  return state;
}

void LoadNetwork(MaskedMoeImpl& network, const Snapshot& state) {
  const torch::NoGradGuard guard;
  for (auto& [name, tensor] : NetworkState(network)) tensor.copy_(state.at(name));
}

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

absl::StatusOr<Run> PrepareRun(const v1::Recipe& recipe, const RunPlaces& places) {
  at::set_num_threads(static_cast<int>(places.threads));
  torch::manual_seed(Mix(recipe.seed(), /*a=*/0));  // New heads start from it.
  Run run{.recipe = recipe, .places = places, .dataset = {}, .sides = {}, .network = nullptr};
  ORCHARD_ASSIGN_OR_RETURN(run.dataset, ReadDataset(places.data, recipe));
  run.sides = Split(run.dataset, recipe.data().validation_share(), recipe.data().test_share());
  ORCHARD_ASSIGN_OR_RETURN(run.network, MaskedMoeImpl::Make(recipe, run.dataset.domains));
  ORCHARD_ASSIGN_OR_RETURN(const ImportedNetwork imported, ImportMobileNetV2(places.weights));
  run.network->StartFrom(*imported.encoder);
  return run;
}

absl::StatusOr<Run> LoadRun(const RunPlaces& places) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(places.work / kRecipe, {}));
  ORCHARD_ASSIGN_OR_RETURN(Run run, PrepareRun(recipe, places));
  const bool finished = fs::exists(places.work / kFinal);
  if (!finished && recipe.optimisation().linear_heads()) {
    return absl::FailedPreconditionError(absl::StrCat(
        (places.work / kFinal).string(),
        " is not there: with linear_heads a run has the recipe's heads only when it is finished"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const Snapshot saved,
                           ReadSnapshot(places.work / (finished ? kFinal : kCheckpoint)));
  LoadNetwork(*run.network, finished ? saved : AveragedState(saved));
  run.network->eval();
  return run;
}

}  // namespace orchard::training
