#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::server::internal {

/// What a configuration file says, by key. A key of a section is "section.key".
struct SettingsFile {
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> faults;  ///< what makes no sense, with its line and column
};

/// Reads a TOML file (toml++). Values are texts as a flag would have them: texts, numbers, truth
/// values, and lists of these; dates and tables in lists are faults, as is what is no TOML, a text
/// without quotes above all. Errors name the file: NOT_FOUND, UNAVAILABLE.
absl::StatusOr<SettingsFile> ReadSettingsFile(const std::string& path);

}  // namespace orchard::server::internal
