#include "server/internal/settings_file.h"

#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <toml++/toml.h>

#include "core/status.h"
#include "core/text.h"
#include "server/setting_codec.h"

namespace orchard::server::internal {
namespace {

constexpr size_t kMostSyntaxFaults = 20;  // Each costs a pass over the file.

/// As a flag would say it; nothing for what no setting is.
std::optional<std::string> AsText(const toml::node& value) {
  if (const auto* text = value.as_string()) return text->get();
  if (const auto* whole = value.as_integer()) return absl::StrCat(whole->get());
  if (const auto* number = value.as_floating_point()) return FormatNumber(number->get());
  if (const auto* truth = value.as_boolean()) return truth->get() ? "true" : "false";
  return std::nullopt;
}

/// What is wrong, "…, in <file> line 3 column 7".
std::string Fault(const std::string& what, const toml::source_region& where) {
  return absl::StrCat(what, ", in ", where.path ? *where.path : "", " line ", where.begin.line,
                      " column ", where.begin.column);
}

/// Adds what `table` says; `prefix` is its section's name with a dot, or empty.
void Collect(const toml::table& table, const std::string& prefix, SettingsFile& file) {
  for (const auto& [name, node] : table) {
    const std::string key = absl::StrCat(prefix, std::string(name.str()));
    if (const toml::table* section = node.as_table()) {
      Collect(*section, key + ".", file);
      continue;
    }
    std::vector<std::string> texts;
    bool good = true;
    const auto take = [&](const toml::node& value) {
      if (std::optional<std::string> text = AsText(value)) return texts.push_back(*std::move(text));
      good = false;
      file.faults.push_back(Fault(
          absl::StrCat(key, ": is no text, number, true or false, nor a list of such; a text ",
                       "stands in quotes"),
          value.source()));
    };
    if (const toml::array* values = node.as_array()) {
      for (const toml::node& value : *values) take(value);
    } else {
      take(node);
    }
    if (good) file.values[key] = std::move(texts);
  }
}

/// Whether `line` is key = value of a value that is no TOML and has no quotes.
bool LooksLikeBareText(const std::string& line) {
  const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits('=', 1));
  if (parts.size() < 2 || line.find_first_of("\"'") != std::string::npos) return false;
  if (parts[1].find_first_not_of(" \t\r") == std::string::npos) return false;
  try {
    std::ignore = toml::parse("value = " + parts[1]);
    return false;
  } catch (const toml::parse_error&) {
    return true;
  }
}

}  // namespace

absl::StatusOr<SettingsFile> ReadSettingsFile(const std::string& path) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(path));
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  SettingsFile file;
  size_t last_line = 0;
  while (file.faults.size() < kMostSyntaxFaults) {
    try {
      const toml::table table = toml::parse(absl::StrJoin(lines, "\n"), std::string_view(path));
      Collect(table, "", file);
      break;
    } catch (const toml::parse_error& error) {
      // toml++ ends at the first fault. The rest is read without its line, so that one start tells
      // all faults; what does not come further only repeats itself.
      const size_t line = error.source().begin.line;
      if (line <= last_line || line > lines.size()) break;
      file.faults.push_back(
          Fault(absl::StrCat(std::string(error.description()),
                             LooksLikeBareText(lines[line - 1])
                                 ? "; a text stands in quotes, and so does a number with a unit"
                                 : ""),
                error.source()));
      lines[line - 1].clear();
      last_line = line;
    }
  }
  return file;
}

}  // namespace orchard::server::internal
