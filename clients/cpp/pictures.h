#pragma once

#include <cstddef>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::client {

/// Names of the pictures that the arguments FILE… | DIR | - stand for, in order: a folder is
/// walked, in name order, for .jpg .jpeg .png .webp in any case; a file is taken whatever its name;
/// "-" is standard input. Repeats stay. A folder may also give an error in place of a name, which
/// names it: NOT_FOUND when it has no pictures, UNAVAILABLE when it can't be walked to the end. A
/// file that doesn't exist is no error here: reading it is.
std::vector<absl::StatusOr<std::string>> ExpandPictures(const std::vector<std::string>& arguments);

/// All of `in` when one of `pictures` is "-", which can be read once but named more often; or
/// nothing.
std::string ReadStandardInput(const std::vector<absl::StatusOr<std::string>>& pictures,
                              std::istream& in);

/// The bytes of one picture; those of "-" are `standard_input`. Errors: those of core::ReadFile.
absl::StatusOr<std::string> ReadPicture(const std::string& name, const std::string& standard_input);

}  // namespace orchard::client
