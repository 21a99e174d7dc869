#pragma once

#include <cstddef>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::client {

/// Pictures that the arguments FILE… | DIR | - name, in order: a folder is walked, in name order,
/// for .jpg .jpeg .png .webp in any case; a file is taken whatever its name; "-" is standard input.
/// Repeats stay. Errors: NOT_FOUND naming a folder without pictures. A file that doesn't exist is
/// no error here: reading it is.
absl::StatusOr<std::vector<std::string>> ExpandPictures(const std::vector<std::string>& arguments);

/// The bytes of one picture; "-" reads all of `standard_input`. Errors: those of core::ReadFile.
absl::StatusOr<std::string> ReadPicture(const std::string& name, std::istream& standard_input);

}  // namespace orchard::client
