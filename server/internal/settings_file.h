#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::server::internal {

/// What a configuration file says, by key. A key of a section is "section.key".
struct SettingsFile {
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> faults;  ///< lines that make no sense, one a fault
};

/// Reads the TOML that settings need: `key = value` and `key = ["a", "b"]`, read by CLI11. A '#'
/// begins a comment even inside quotes (CLI11's rule); a text that this breaks is a fault.
/// Errors name the file: NOT_FOUND, UNAVAILABLE.
absl::StatusOr<SettingsFile> ReadSettingsFile(const std::string& path);

}  // namespace orchard::server::internal
