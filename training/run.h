#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/checkpoint.h"
#include "training/dataset.h"
#include "training/masked_moe.h"
#include "training/split.h"

namespace orchard::training {

// Files of a work folder.
inline constexpr const char* kCheckpoint = "checkpoint.safetensors";   ///< after every epoch
inline constexpr const char* kFinal = "final.safetensors";             ///< the finished network
inline constexpr const char* kRecipe = "recipe.textproto";             ///< with overrides applied
inline constexpr const char* kStartRecipe = "start_recipe.textproto";  ///< of the run begun with
inline constexpr const char* kSplit = "split.tsv";                     ///< who is on which side

/// Where a run reads and writes.
struct RunPlaces {
  std::filesystem::path data;     ///< folders of pictures
  std::filesystem::path weights;  ///< of the imported encoder
  std::filesystem::path work;     ///< everything that the run writes
  size_t threads = 2;
};

/// A run's recipe, pictures and network.
struct Run {
  v1::Recipe recipe;
  RunPlaces places;
  Dataset dataset;
  std::vector<Side> sides;  ///< of each picture
  std::shared_ptr<MaskedMoeImpl> network;

  std::vector<std::filesystem::path> Files(const std::vector<size_t>& pictures) const;
  std::vector<Label> Labels(const std::vector<size_t>& pictures) const;
};

/// Reads the pictures, splits them and makes the network with the imported encoder.
absl::StatusOr<Run> PrepareRun(const v1::Recipe& recipe, const RunPlaces& places);

/// Parameters and buffers by name: what a checkpoint keeps of a network.
Snapshot NetworkState(const MaskedMoeImpl& network);

/// The reverse; `state` has every name of the network's.
void LoadNetwork(MaskedMoeImpl& network, const Snapshot& state);

/// A checkpoint's network with the averaged weights in place of the trained ones.
Snapshot AveragedState(const Snapshot& saved);

/// PrepareRun with the finished network, or else the averaged weights of the last checkpoint.
/// Errors: NOT_FOUND without one; FAILED_PRECONDITION while a run with linear_heads isn't finished.
absl::StatusOr<Run> LoadRun(const RunPlaces& places);

}  // namespace orchard::training
