#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "nets/backbones/fruit_net.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/data/picture_set.h"
#include "training/work_folder.h"

namespace orchard::training {

/// A run's recipe, pictures and network.
struct FruitNetsRun {
  v1::Recipe recipe;
  RunPlaces places;
  PictureSet set;
  std::vector<DomainClasses> told;  ///< [1]: with the classes that the network tells apart: the
                                    ///< folder's, or "fruit" and "vegetable"
  std::vector<Label> labels;        ///< [N], among those
  nets::FruitNet network{nullptr};
  torch::Device device = torch::kCPU;  ///< where the network is

  const std::vector<std::string>& classes() const { return told.front().classes; }
  std::vector<size_t> On(Side side) const;  ///< pictures of a side, in order
  std::vector<size_t> LabelsOf(const std::vector<size_t>& pictures) const;
};

/// Where the network's weights come from.
enum class FruitWeights { kAsTheRecipeSays, kFromAFile };

/// Reads the pictures, holds the recipe's fold out, and makes the network: with random weights, and
/// a pretrained trunk's from `places.weights`, unless a file brings all of them. With `go_on` the
/// sides are those of the run in the work folder. Errors: ReadPictureSet's, HoldOutFold's and
/// TakeSplit's; INVALID_ARGUMENT when `fruits` names no class of the folder, or all of them, or
/// there are no weights to begin with, or saying what is wrong with them.
absl::StatusOr<FruitNetsRun> PrepareFruitNetsRun(const v1::Recipe& recipe, const RunPlaces& places,
                                                 bool go_on, FruitWeights weights);

/// The run in `places.work` with the weights of `file`, a name in that folder (kBest, kFinal).
/// Errors: NOT_FOUND naming the file.
absl::StatusOr<FruitNetsRun> LoadFruitNetsRun(const RunPlaces& places, const std::string& file);

/// Pictures as serving frames them: uint8 [n, crop, crop, 3].
absl::StatusOr<torch::Tensor> ServedViews(const FruitNetsRun& run,
                                          const std::vector<size_t>& pictures);

}  // namespace orchard::training
