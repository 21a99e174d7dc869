#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "nets/vit_moe/vit_moe.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/data/picture_set.h"
#include "training/work_folder.h"

namespace orchard::training {

/// A run's recipe, pictures and network.
struct VitMoeRun {
  v1::Recipe recipe;
  RunPlaces places;
  PictureSet set;
  nets::Vit network{nullptr};
  torch::Device device = torch::kCPU;  ///< where the network is

  const std::vector<std::string>& classes() const { return set.domains.front().classes; }
  std::vector<size_t> On(Side side) const;  ///< pictures of a side, in order
  std::vector<size_t> Labels(const std::vector<size_t>& pictures) const;
};

/// Reads the pictures and makes the network with random weights. With `go_on` the sides are those
/// of the run in the work folder. Errors: ReadPictureSet's and TakeSplit's; INVALID_ARGUMENT saying
/// what is wrong with the network for so many classes.
absl::StatusOr<VitMoeRun> PrepareVitMoeRun(const v1::Recipe& recipe, const RunPlaces& places,
                                           bool go_on);

/// PrepareVitMoeRun with the weights of `file`, a name in the work folder (kBest, kFinal). Errors:
/// NOT_FOUND naming the file.
absl::StatusOr<VitMoeRun> LoadVitMoeRun(const RunPlaces& places, const std::string& file);

/// Pictures as serving frames them: uint8 [n, crop, crop, 3].
absl::StatusOr<torch::Tensor> ServedViews(const VitMoeRun& run,
                                          const std::vector<size_t>& pictures);

}  // namespace orchard::training
