#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::training {

/// A table with a head line, as the lists beside pictures are: no quotes, one separator.
struct Table {
  struct Row {
    size_t line = 0;                 ///< in the file, counted from 1
    std::vector<std::string> cells;  ///< as many as the head has, or fewer or more if it is wrong
  };
  std::map<std::string, size_t> columns;  ///< name → index into `cells`
  std::vector<Row> rows;
};

/// Reads `file`. A byte order mark, carriage returns and empty lines are passed over. Errors:
/// NOT_FOUND; INVALID_ARGUMENT naming every one of `needed` that is no column.
absl::StatusOr<Table> ReadTable(const std::filesystem::path& file, char separator,
                                const std::vector<std::string>& needed);

/// `text` as a cell: what would end it, tabs and line breaks, and backslashes become \t, \n, \r and
/// \\. For tables that we write and read; lists that others wrote have their cells as they are.
std::string ToCell(std::string_view text);
/// The reverse.
std::string FromCell(std::string_view cell);

/// "<file>, line 7".
std::string LineOf(const std::filesystem::path& file, const Table::Row& row);

}  // namespace orchard::training
