#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"

namespace orchard::training {

/// A recipe for the folder <data>/<domain>/<class>/ of pictures, as text with comments, that fit
/// and export work with as it is: heads on the frozen encoder, in minutes on a CPU. Hidden folders
/// and `unknown` are no domains. Errors: NOT_FOUND naming the folder; INVALID_ARGUMENT with every
/// fault: a domain's name that can't be a model's, less than two classes, a class without pictures,
/// pictures that lie where classes should.
absl::StatusOr<std::string> NewRecipe(const std::filesystem::path& data, const std::string& name);

}  // namespace orchard::training
