#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/data/dataset.h"
#include "training/data/split.h"
#include "training/loop/checkpoint.h"
#include "training/studies/masked_moe/masked_moe.h"
#include "training/work_folder.h"

namespace orchard::training {

/// A run's recipe, pictures and network.
struct Run {
  v1::Recipe recipe;
  RunPlaces places;
  Dataset dataset;
  std::vector<Side> sides;  ///< of each picture
  std::shared_ptr<MaskedMoeImpl> network;
  torch::Device device = torch::kCPU;  ///< where the network is

  std::vector<std::filesystem::path> Files(const std::vector<size_t>& pictures) const;
  std::vector<Label> Labels(const std::vector<size_t>& pictures) const;
};

/// Reads the pictures, puts each on its side and makes the network with the imported encoder. With
/// `go_on` the sides are those that the run in the work folder dealt (ReadSplit), else dealt now.
/// Errors: those of ReadDataset, ReadSplit and ImportMobileNetV2; INVALID_ARGUMENT naming every
/// class that has no picture to train on.
absl::StatusOr<Run> PrepareRun(const v1::Recipe& recipe, const RunPlaces& places, bool go_on);

/// A checkpoint's network with the averaged weights in place of the trained ones.
Snapshot AveragedState(const Snapshot& saved);

/// PrepareRun with the finished network, or else the averaged weights of the last checkpoint.
/// Errors: NOT_FOUND without one; FAILED_PRECONDITION while a run with linear_heads isn't finished.
absl::StatusOr<Run> LoadRun(const RunPlaces& places);

}  // namespace orchard::training
