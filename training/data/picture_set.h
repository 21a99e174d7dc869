#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/data/dataset.h"
#include "training/data/picture_store.h"
#include "training/data/split.h"
#include "training/training.h"

namespace orchard::training {

/// The pictures that a recipe names, decoded, each with its label and its side, whatever they come
/// from (folders, GTSRB, CIFAR-10). In the order of the recipe's domains.
struct PictureSet {
  std::vector<DomainClasses> domains;
  PictureStore pictures;
  std::vector<Label> labels;          ///< [N]
  std::vector<Side> sides;            ///< [N]
  std::vector<std::string> names;     ///< [N] path below the data folder, or "data_batch_1.bin#17"
  std::vector<std::string> contents;  ///< [N] SHA-256 of the file or, in a file of many, the record
  std::vector<std::string> groups;    ///< [N] what must stay on one side has one group
  std::vector<std::string> skipped;   ///< in words: broken pictures, double labels, …

  size_t size() const { return labels.size(); }
};

/// Whether the domain's source has a test side of its own.
bool HasTestSide(const v1::Domain& domain);

/// Reads what `recipe.domains` name below `data`. Small pictures stay as they are. A broken picture
/// is skipped and said in `skipped`, and so is a group with two labels.
///
/// Sides: those that a source publishes, otherwise dealt by the recipe's shares (split.h). A run
/// that goes on takes them from its split with TakeSplit instead.
///
/// Errors: NOT_FOUND or INVALID_ARGUMENT naming the folder, or the file and its line; every class
/// without a picture to train on.
absl::StatusOr<PictureSet> ReadPictureSet(const std::filesystem::path& data,
                                          const v1::Recipe& recipe, size_t threads);

/// The set as split.h deals it and writes it: without the pixels, its paths being the set's names.
Dataset Listing(const PictureSet& set);

/// As WriteSplit and WriteSides of a Dataset: which picture is on which side.
absl::Status WriteSplit(const std::filesystem::path& file, const PictureSet& set);
absl::Status WriteSides(const std::filesystem::path& file, const PictureSet& set);

/// Puts the set's pictures on the sides that `file`, written by WriteSplit, gives them. Those that
/// it doesn't list are removed and counted in `left_out`. Errors: those of ReadSplit.
absl::Status TakeSplit(const std::filesystem::path& file, PictureSet& set, size_t& left_out);

}  // namespace orchard::training
