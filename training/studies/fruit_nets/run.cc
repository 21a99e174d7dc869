#include "training/studies/fruit_nets/run.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <ATen/Parallel.h>

#include "core/status.h"
#include "model/torch_state.h"
#include "router/profile.h"
#include "training/data/folds.h"
#include "training/loop/device.h"
#include "training/recipe.h"
#include "training/studies/fruit_nets/statements.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// Labels of both kinds when classes become fruit and vegetables.
constexpr size_t kFruit = 0;
constexpr size_t kVegetable = 1;

absl::Status CheckFruits(const v1::FruitNets& study, const std::vector<std::string>& classes) {
  std::vector<std::string> unknown;
  for (const std::string& fruit : study.fruits()) {
    if (std::ranges::find(classes, fruit) == classes.end()) unknown.push_back(fruit);
  }
  if (!unknown.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("fruit_nets.fruits: no such class: ", absl::StrJoin(unknown, ", "),
                     "; there are ", absl::StrJoin(classes, ", ")));
  }
  if (static_cast<size_t>(study.fruits_size()) < classes.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "fruit_nets.fruits names all classes: nothing is left to be a vegetable");
}

/// What the network is to tell apart.
absl::Status SayClasses(FruitNetsRun& run) {
  run.told = run.set.domains;
  run.labels = run.set.labels;
  const v1::FruitNets& study = run.recipe.fruit_nets();
  if (study.fruits().empty()) return absl::OkStatus();
  const std::vector<std::string> classes = run.set.domains.front().classes;
  ORCHARD_RETURN_IF_ERROR(CheckFruits(study, classes));
  run.told.front().classes = {"fruit", "vegetable"};
  for (Label& label : run.labels) {
    const bool fruit =
        std::ranges::find(study.fruits(), classes[label.label]) != study.fruits().end();
    label.label = fruit ? kFruit : kVegetable;
  }
  return absl::OkStatus();
}

absl::StatusOr<fs::path> Vgg16File(const fs::path& weights) {
  if (weights.empty()) {
    return absl::InvalidArgumentError(
        "--weights: fruit_nets.pretrained begins with VGG16's convolutions: a folder with "
        "vgg16_features*.safetensors");
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(weights, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("vgg16_features") && name.ends_with(".safetensors")) return entry.path();
  }
  return absl::NotFoundError(
      absl::StrCat(weights.string(), " holds no vgg16_features*.safetensors"));
}

absl::Status ImportTrunk(const fs::path& weights, nets::BackboneImpl& trunk) {
  ORCHARD_ASSIGN_OR_RETURN(const fs::path file, Vgg16File(weights));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors, model::ReadSafetensors(file));
  return model::LoadState(trunk, tensors, "", file.string());
}

/// Sides of the recipe's fold, or those that the run began with.
absl::Status DealSides(bool go_on, FruitNetsRun& run) {
  if (!go_on) {
    return HoldOutFold(FoldsOf(run.recipe.fruit_nets()), run.recipe.data(), run.set);
  }
  size_t left_out = 0;
  ORCHARD_RETURN_IF_ERROR(TakeSplit(run.places.work / kSplit, run.set, left_out));
  if (left_out > 0) {
    std::printf("%zu pictures have come since the run began: left out\n", left_out);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<size_t> FruitNetsRun::On(Side side) const {
  return orchard::training::On(set.sides, side);
}

std::vector<size_t> FruitNetsRun::LabelsOf(const std::vector<size_t>& pictures) const {
  std::vector<size_t> of;
  for (const size_t i : pictures) of.push_back(labels[i].label);
  return of;
}

absl::StatusOr<FruitNetsRun> PrepareFruitNetsRun(const v1::Recipe& recipe, const RunPlaces& places,
                                                 bool go_on, FruitWeights weights) {
  FruitNetsRun run{.recipe = recipe, .places = places, .set = {}, .told = {}, .labels = {}};
  ORCHARD_ASSIGN_OR_RETURN(run.device, ParseDevice(places.device));
  // With a GPU the CPU's threads make pictures: LibTorch's own would only be in their way.
  at::set_num_threads(run.device.is_cpu() ? static_cast<int>(places.threads) : 1);
  ORCHARD_ASSIGN_OR_RETURN(run.set, ReadPictureSet(places.data, recipe, places.threads));
  ORCHARD_RETURN_IF_ERROR(DealSides(go_on, run));
  ORCHARD_RETURN_IF_ERROR(SayClasses(run));
  torch::manual_seed(Mix(recipe.seed(), /*a=*/0));  // The weights start from it.
  const auto classes = static_cast<int64_t>(run.classes().size());
  ORCHARD_ASSIGN_OR_RETURN(run.network, nets::MakeFruitNet(FruitNetOptionsOf(recipe, classes)));
  if (recipe.fruit_nets().pretrained() && weights == FruitWeights::kAsTheRecipeSays) {
    ORCHARD_RETURN_IF_ERROR(ImportTrunk(places.weights, *run.network->trunk));
  }
  run.network->to(run.device);
  return run;
}

absl::StatusOr<FruitNetsRun> LoadFruitNetsRun(const RunPlaces& places, const std::string& file) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(places.work / kRecipe, {}));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap saved,
                           model::ReadSafetensors(places.work / file));
  ORCHARD_ASSIGN_OR_RETURN(FruitNetsRun run, PrepareFruitNetsRun(recipe, places, /*go_on=*/true,
                                                                 FruitWeights::kFromAFile));
  ORCHARD_RETURN_IF_ERROR(model::LoadState(*run.network, saved, "", (places.work / file).string()));
  run.network->eval();
  return run;
}

absl::StatusOr<torch::Tensor> ServedViews(const FruitNetsRun& run,
                                          const std::vector<size_t>& pictures) {
  return FitPictures(run.set.pictures, pictures, router::ProfileOf(PreprocessingOf(run.recipe)),
                     run.places.threads);
}

}  // namespace orchard::training
