#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/data/dataset.h"
#include "training/data/split.h"
#include "vision/vision.h"

/// \file
/// What a source of pictures (v1::Domain.source) gives for one domain. One function each; the
/// caller deals the sides that the source leaves open, and puts domains together (picture_set.h).

namespace orchard::training {

/// One domain's pictures, decoded.
struct SourcePictures {
  std::vector<std::string> classes;
  std::vector<Picture> pictures;           ///< those of a file of many are called "<file>#<index>"
  std::vector<vision::Image> images;       ///< [pictures]
  std::vector<std::optional<Side>> sides;  ///< [pictures]; nothing: dealt by the recipe's shares
  std::vector<std::string> skipped;        ///< what was left out, and why
};

/// GTSRB as published: see v1::Gtsrb. Pictures of a track have one group. Errors: NOT_FOUND naming
/// what is missing; INVALID_ARGUMENT with file and line of every wrong row (the first few).
/// Source: Stallkamp et al. 2012, "Man vs. computer", Neural Networks 32; the published Readme.
absl::StatusOr<SourcePictures> ReadGtsrb(const std::filesystem::path& data, size_t index,
                                         const v1::Domain& domain, size_t threads);

/// CIFAR-10: see v1::Cifar10. Errors: NOT_FOUND naming what is missing; INVALID_ARGUMENT naming the
/// file, and the record whose label is none.
/// Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; its web page.
absl::StatusOr<SourcePictures> ReadCifar10(const std::filesystem::path& data, size_t index,
                                           const v1::Domain& domain, size_t threads);

}  // namespace orchard::training
