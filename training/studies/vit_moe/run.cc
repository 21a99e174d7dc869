#include "training/studies/vit_moe/run.h"

#include <cstdio>

#include <ATen/Parallel.h>

#include "core/status.h"
#include "model/torch_state.h"
#include "router/profile.h"
#include "training/loop/device.h"
#include "training/recipe.h"
#include "training/studies/vit_moe/statements.h"

namespace orchard::training {

std::vector<size_t> VitMoeRun::On(Side side) const {
  return orchard::training::On(set.sides, side);
}

std::vector<size_t> VitMoeRun::Labels(const std::vector<size_t>& pictures) const {
  std::vector<size_t> labels;
  for (const size_t i : pictures) labels.push_back(set.labels[i].label);
  return labels;
}

absl::StatusOr<VitMoeRun> PrepareVitMoeRun(const v1::Recipe& recipe, const RunPlaces& places,
                                           bool go_on) {
  VitMoeRun run{.recipe = recipe, .places = places, .set = {}};
  ORCHARD_ASSIGN_OR_RETURN(run.device, ParseDevice(places.device));
  // With a GPU the CPU's threads make pictures: LibTorch's own would only be in their way.
  at::set_num_threads(run.device.is_cpu() ? static_cast<int>(places.threads) : 1);
  ORCHARD_ASSIGN_OR_RETURN(run.set, ReadPictureSet(places.data, recipe, places.threads));
  if (go_on) {
    size_t left_out = 0;
    ORCHARD_RETURN_IF_ERROR(TakeSplit(places.work / kSplit, run.set, left_out));
    if (left_out > 0) {
      std::printf("%zu pictures have come since the run began: left out\n", left_out);
    }
  }
  torch::manual_seed(Mix(recipe.seed(), /*a=*/0));  // The weights start from it.
  const auto classes = static_cast<int64_t>(run.classes().size());
  ORCHARD_ASSIGN_OR_RETURN(run.network, nets::MakeVit(VitOptionsOf(recipe, classes)));
  run.network->to(run.device);
  return run;
}

absl::StatusOr<VitMoeRun> LoadVitMoeRun(const RunPlaces& places, const std::string& file) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(places.work / kRecipe, {}));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap saved,
                           model::ReadSafetensors(places.work / file));
  ORCHARD_ASSIGN_OR_RETURN(VitMoeRun run, PrepareVitMoeRun(recipe, places, /*go_on=*/true));
  ORCHARD_RETURN_IF_ERROR(model::LoadState(*run.network, saved, "", (places.work / file).string()));
  run.network->eval();
  return run;
}

absl::StatusOr<torch::Tensor> ServedViews(const VitMoeRun& run,
                                          const std::vector<size_t>& pictures) {
  return FitPictures(run.set.pictures, pictures, router::ProfileOf(PreprocessingOf(run.recipe)),
                     run.places.threads);
}

}  // namespace orchard::training
