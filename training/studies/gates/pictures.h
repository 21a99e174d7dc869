#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

#include "training/data/picture_set.h"
#include "training/data/split.h"

namespace orchard::training {

/// Pictures of a side: of each domain at most `most` (0: all), a draw by `seed`, in which every
/// class that has a picture has one. Ascending. Errors: INVALID_ARGUMENT when a domain has more
/// classes than `most`; FAILED_PRECONDITION naming a domain without a picture on that side.
absl::StatusOr<std::vector<size_t>> DrawPictures(const PictureSet& set, Side side, size_t most,
                                                 std::uint64_t seed);

std::vector<Label> LabelsOf(const PictureSet& set, const std::vector<size_t>& pictures);

}  // namespace orchard::training
