#include "training/data/table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "core/status.h"
#include "core/text.h"

namespace orchard::training {

absl::StatusOr<Table> ReadTable(const std::filesystem::path& file, char separator,
                                const std::vector<std::string>& needed) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  Table table;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(absl::StripPrefix(text, "\xEF\xBB\xBF"), '\n')) {
    ++number;
    line = absl::StripSuffix(line, "\r");
    if (line.empty()) continue;
    std::vector<std::string> cells = absl::StrSplit(line, separator);
    if (table.columns.empty()) {
      for (size_t i = 0; i < cells.size(); ++i) table.columns.emplace(cells[i], i);
    } else {
      table.rows.push_back({.line = number, .cells = std::move(cells)});
    }
  }
  std::vector<std::string> missing;
  for (const std::string& name : needed) {
    if (!table.columns.contains(name)) missing.push_back(name);
  }
  if (missing.empty()) return table;
  return absl::InvalidArgumentError(absl::StrCat(file.string(), ": the head line has no column ",
                                                 absl::StrJoin(missing, ", "), " (separator \"",
                                                 std::string(1, separator), "\")"));
}

std::string ToCell(std::string_view text) {
  return absl::StrReplaceAll(std::string(text),
                             {{"\t", "\\t"}, {"\n", "\\n"}, {"\r", "\\r"}, {"\\", "\\\\"}});
}

std::string FromCell(std::string_view cell) {
  return absl::StrReplaceAll(std::string(cell),
                             {{"\\t", "\t"}, {"\\n", "\n"}, {"\\r", "\r"}, {"\\\\", "\\"}});
}

std::string LineOf(const std::filesystem::path& file, const Table::Row& row) {
  return absl::StrCat(file.string(), ", line ", row.line);
}

}  // namespace orchard::training
