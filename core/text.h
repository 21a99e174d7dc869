#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace orchard::core {

/// Bytes for people: "512 B", "16.0 MiB".
std::string HumanBytes(std::uint64_t bytes);

/// The beginning of `text`: at most `max_bytes` bytes, not cut inside a character, as invalid UTF-8
/// would break the message that carries it. Borrows from `text`.
std::string_view CutAtCharacter(std::string_view text, size_t max_bytes);

/// The whole file. Errors name it: NOT_FOUND, or UNAVAILABLE with the system's reason.
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path);

/// Writes through `<path>.part` beside it, so that a reader never sees half a file; one writer a
/// path. On an error the old file stays and no part is left. The folder must exist.
/// Errors: UNAVAILABLE naming the file, with the system's reason.
absl::Status WriteFile(const std::filesystem::path& path, std::string_view bytes);

}  // namespace orchard::core
