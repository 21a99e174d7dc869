#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

#include "vision/decode.h"
#include "vision/internal/container.h"

/// \file
/// What is known and decided before a pixel is decoded.

namespace orchard::vision::internal {

/// The walk through a file whose picture may be decoded.
/// Errors: INVALID_ARGUMENT, with the value, the limit and a remedy, or what is wrong with the
/// file.
absl::StatusOr<Container> ReadWithinLimits(std::string_view bytes, const Limits& limits,
                                           size_t enough, After after);

/// Memory at the peak of decoding, bytes, as DecodeCost(). `file_bytes` is the size of the file.
std::uint64_t PeakBytes(const Container& container, std::uint64_t file_bytes, size_t enough,
                        After after);

}  // namespace orchard::vision::internal
