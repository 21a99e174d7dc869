#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::server::internal {

/// What a configuration file says, by key. A key of a section is "section.key".
struct SettingsFile {
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> faults;  ///< what makes no sense, with its line
};

/// Reads the TOML that settings need: `key = value` and `key = ["a", "b"]` over any lines, texts in
/// "…" or '…', numbers and truth values bare, comments, sections. A text without quotes is no TOML
/// and a fault: another reader would refuse the file. Errors name the file: NOT_FOUND, UNAVAILABLE.
absl::StatusOr<SettingsFile> ReadSettingsFile(const std::string& path);

}  // namespace orchard::server::internal
