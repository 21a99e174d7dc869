#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "orchard/v1/model.pb.h"
#include "training/data/picture_set.h"

namespace orchard::training {

/// A finished expert that looks at pictures: the only one of a model on disk.
struct FinishedExpert {
  std::filesystem::path folder;         ///< its version folder
  orchard::v1::ModelManifest manifest;  ///< of that model
  std::string weights;                  ///< the bytes of its file

  const orchard::v1::ExpertPart& part() const { return manifest.experts(0); }
};

/// Those that `given` names, "DOMAIN=MODEL" each (a version folder, or a folder of versions), in
/// the order of the outline's domains. Errors: INVALID_ARGUMENT with every fault at once: another
/// form, a domain that is not the outline's, is given twice or has none, a model that can't be
/// read or has several domains, an expert that reads features or has other classes than the domain
/// (which, by the first that differs), a file that is not what its manifest says.
absl::StatusOr<std::vector<FinishedExpert>> ReadExperts(const std::vector<std::string>& given,
                                                        const orchard::v1::ModelManifest& outline);

/// The contents (PictureSet::contents) that an expert was trained on, of those that `domain` of the
/// gates' recipe finds below `data`: by the split that its model carries, or by its recipe, which
/// deals its pictures once more. Nothing, said on stderr, where it carries neither. Errors: those
/// of ReadSides, ReadRecipe and ReadPictureSet.
absl::StatusOr<std::set<std::string>> TrainedOn(const FinishedExpert& expert,
                                                const v1::Domain& domain,
                                                const std::filesystem::path& data, size_t threads);

/// Moves the pictures of `domain` that its expert was trained on to the training side, as nothing
/// may be fitted or measured on them. Returns how many were on another one.
size_t MoveToTraining(const std::set<std::string>& trained_on, size_t domain, PictureSet& set);

}  // namespace orchard::training
