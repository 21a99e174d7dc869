#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "training/data/dataset.h"

namespace orchard::training {

enum class Side : std::uint8_t { kTrain, kValidation, kTest };

/// The pictures of one group, and what orders the groups of a class: the SHA-256 of their contents.
struct SplitGroup {
  std::string hash;
  std::vector<size_t> pictures;  ///< indices
};

/// The groups of each class (by flat index), ordered by hash.
std::map<size_t, std::vector<SplitGroup>> GroupsByClass(const Dataset& dataset);

/// "train", "validation" or "test", as files and commands call a side.
const char* NameOf(Side side);
/// The side of that name; nothing for another one.
std::optional<Side> SideNamed(std::string_view name);

/// Puts every picture on one side; a group is never divided.
///
/// Inside each class the groups are ordered by the SHA-256 of their pictures' contents. In that
/// order a group goes to the test side while it fits into `test_share` of the class's pictures
/// (rounded), else to the validation side while it fits into `validation_share`, else to training.
/// So each class is represented, nothing depends on file names or on a seed, and a group larger
/// than a side's share is trained on.
std::vector<Side> Split(const Dataset& dataset, double validation_share, double test_share);

/// The same by each group's own hash: the smallest of its pictures' contents, read as a number in
/// [0, 1), puts it on the test side below `test_share`, on the validation side below the sum of
/// both shares, else into training. So pictures that come later move no others, and shares are met
/// by chance only. Two exceptions look at the class: a group larger than a side's share of it is
/// trained on; and where no group fell on a side that has a share, or none was left to train on,
/// the one whose hash is nearest goes there, so that small classes are represented.
std::vector<Side> SplitByHash(const Dataset& dataset, double validation_share, double test_share);

/// As the recipe's data say.
std::vector<Side> Split(const Dataset& dataset, const v1::Data& data);

/// Whether every class has a picture to train on: one without can't be learned, and is found now,
/// not hours later. Errors: INVALID_ARGUMENT naming every such class.
absl::Status CheckClassesAreTrained(const std::vector<DomainClasses>& domains,
                                    std::span<const Label> labels, const std::vector<Side>& sides);

/// Writes who is on which side, as a table with a head line: side, domain, class, file, group and
/// content (the picture's SHA-256). Errors: UNAVAILABLE naming the file.
absl::Status WriteSplit(const std::filesystem::path& file, const Dataset& dataset,
                        const std::vector<Side>& sides);

/// The sides of a run's pictures as WriteSplit wrote them: what was dealt once stays, whatever has
/// come to the folder since. Pictures of `dataset` that `file` doesn't list are removed from it and
/// counted in `left_out`. Errors: NOT_FOUND naming the file; FAILED_PRECONDITION when a picture
/// that it lists is gone, or the classes are others now, with the first few.
absl::StatusOr<std::vector<Side>> ReadSplit(const std::filesystem::path& file, Dataset& dataset,
                                            size_t& left_out);

/// Which side each content was on, without a name: what a model carries, so that pictures it has
/// seen are known wherever they turn up. A table of side and content. Errors: UNAVAILABLE naming
/// the file.
absl::Status WriteSides(const std::filesystem::path& file, const Dataset& dataset,
                        const std::vector<Side>& sides);

/// The reverse: content → side. Errors: NOT_FOUND; INVALID_ARGUMENT with the file and the line.
absl::StatusOr<std::map<std::string, Side>> ReadSides(const std::filesystem::path& file);

/// Indices of the pictures on `side`, in order.
std::vector<size_t> On(const std::vector<Side>& sides, Side side);

}  // namespace orchard::training
