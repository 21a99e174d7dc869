#include "server/internal/settings_file.h"

#include <exception>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "core/status.h"
#include "core/text.h"

namespace orchard::server::internal {
namespace {

bool HasBrokenQuote(const std::string& text) {
  return !text.empty() && (text.front() == '"' || text.front() == '\'');
}

/// How many brackets `line` leaves open, its texts in quotes and its comment left aside; cuts the
/// comment off.
int OpenBrackets(std::string& line) {
  int open = 0;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char letter = line[i];
    if (quote != 0) {
      if (letter == quote) quote = 0;
    } else if (letter == '"' || letter == '\'') {
      quote = letter;
    } else if (letter == '#') {
      line.erase(i);
    } else if (letter == '[' || letter == ']') {
      open += letter == '[' ? 1 : -1;
    }
  }
  return open;
}

/// The text with every array on one line. CLI11 2.1 takes `key = [` at the end of a line, TOML's
/// usual form, for the value "[", and the elements below for keys.
std::string JoinArrays(const std::string& text) {
  std::istringstream lines(text);
  std::string joined;
  int open = 0;
  for (std::string line; std::getline(lines, line);) {
    open += OpenBrackets(line);
    joined += line;
    joined += open > 0 ? ' ' : '\n';
  }
  return joined;
}

}  // namespace

absl::StatusOr<SettingsFile> ReadSettingsFile(const std::string& path) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(path));
  std::istringstream input(JoinArrays(text));
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(input);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
  SettingsFile file;
  for (CLI::ConfigItem& item : items) {
    if (item.name == "++" || item.name == "--") continue;  // CLI11's marks of a section's ends.
    const std::string key = item.fullname();
    if (file.values.contains(key)) {
      file.faults.push_back(absl::StrCat(key, ": given twice in ", path));
    }
    for (const std::string& value : item.inputs) {
      if (!HasBrokenQuote(value)) continue;
      file.faults.push_back(absl::StrCat(key, ": broken quotes at ", value, " in ", path,
                                         " ('#' begins a comment even inside quotes)"));
    }
    file.values[key] = std::move(item.inputs);
  }
  return file;
}

}  // namespace orchard::server::internal
