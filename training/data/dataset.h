#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/training.h"
#include "vision/vision.h"

namespace orchard::training {

/// One picture's file.
struct Picture {
  std::filesystem::path path;
  Label label;
  std::string content;  ///< SHA-256 of the file's bytes, 64 hex digits
  std::string group;    ///< pictures of one group stay on one side of the split
};

/// The pictures of all domains, in the order of domain, class and file name.
struct Dataset {
  std::vector<DomainClasses> domains;
  std::vector<Picture> pictures;
  std::vector<std::string> dropped;       ///< groups with two labels, in words
  std::vector<std::string> skipped = {};  ///< files that are no picture, with the reason
};

/// The folder of pictures of no domain, beside the domains.
inline constexpr const char* kUnknownFolder = "unknown";

/// Reads <data>/<domain>/<class>/*.{jpg,jpeg,png,webp,ppm} for the recipe's domains, and the
/// groups: from the column "group" of <data>/<domain>.tsv where that list is there, otherwise by
/// content (groups.h). Every picture is decoded once; those that can't be are skipped and listed.
/// Groups with two labels are left out and listed. Errors name the folder or the file.
absl::StatusOr<Dataset> ReadDataset(const std::filesystem::path& data, const v1::Recipe& recipe,
                                    size_t threads = 1);

/// The same for domains whose classes are known, a model's: a folder of pictures may lack classes
/// and whole domains. Hidden folders and `unknown` are no domains. Errors: NOT_FOUND naming `data`;
/// INVALID_ARGUMENT naming every folder of another name.
absl::StatusOr<Dataset> ReadKnownDataset(const std::filesystem::path& data,
                                         const std::vector<DomainClasses>& domains,
                                         size_t threads = 1);

/// The domain that a recipe names, with its folders as classes. Errors: NOT_FOUND;
/// INVALID_ARGUMENT when there are less than two.
absl::StatusOr<DomainClasses> ReadClasses(const std::filesystem::path& data,
                                          const v1::Domain& domain);

/// Pictures of one domain's folders.
struct FolderPictures {
  std::vector<Picture> pictures;
  std::vector<vision::Image> images;  ///< [pictures], as a store keeps them, where they are wanted
  std::vector<std::string> skipped;   ///< files that are no picture, with the reason
};

/// Those of `domain`, the `index`th, with their groups. Errors: as ReadDataset.
absl::StatusOr<FolderPictures> ReadFolders(const std::filesystem::path& data, size_t index,
                                           const DomainClasses& domain, bool keep_images,
                                           size_t threads);

/// Whether a file is taken for a picture, by the ending of its name.
bool IsPicture(const std::filesystem::path& path);

/// Names of the folders in `folder`, sorted; hidden ones and others of a tool's are left out
/// (core/passed_over.h). Errors: NOT_FOUND naming it.
absl::StatusOr<std::vector<std::string>> ListFolders(const std::filesystem::path& folder);

/// Pictures below `folder`, in the order of their paths; what is hidden or a tool's is left out
/// (core/passed_over.h), so that nobody learns from thumbnails. Errors: NOT_FOUND naming the
/// folder.
absl::StatusOr<std::vector<std::filesystem::path>> ListPictures(
    const std::filesystem::path& folder);

/// The classes of all domains, one after the other.
size_t TotalClasses(const std::vector<DomainClasses>& domains);

/// The index of `label` among the classes of all domains.
size_t FlatIndex(const std::vector<DomainClasses>& domains, const Label& label);

}  // namespace orchard::training
