#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"
#include "orchard/v1/model.pb.h"
#include "training/data/picture_set.h"
#include "training/studies/gates/experts.h"

namespace orchard::training {

/// Pictures that a model was made with.
struct PicturesUsed {
  size_t train = 0;       ///< gates learned from them
  size_t validation = 0;  ///< what is calibrated was fitted on them
};

/// Writes <out>/PROVENANCE.md: what the recipe says of its sources, licences and limits, which
/// pictures there were (an expert's training pictures count as such), from which model each expert
/// came and with which file, and what was fitted on what.
absl::Status WriteGatesProvenance(const std::filesystem::path& out,
                                  const orchard::v1::ModelManifest& manifest,
                                  const v1::Recipe& recipe, const PictureSet& set,
                                  const std::vector<FinishedExpert>& experts,
                                  const PicturesUsed& used);

}  // namespace orchard::training
