#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// \file
/// Files that need not fit into memory.

namespace orchard::core {

/// Gives a file to `take`, piece by piece, from its beginning to its end. Errors name it:
/// NOT_FOUND, or UNAVAILABLE with the system's reason; what was read till then was given.
absl::Status ReadPieces(const std::filesystem::path& path,
                        const std::function<void(std::string_view)>& take);

/// SHA-256 of a file, 64 lower-case hex digits. Errors: ReadPieces'.
absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path);

}  // namespace orchard::core
