#include "bench/serving/pictures.h"

#include <algorithm>
#include <iostream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/status.h"
#include "core/text.h"

namespace orchard::bench {

absl::StatusOr<std::vector<Picture>> ReadPictures(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;  // Whoever vanished meanwhile is no file.
    if (entry->is_regular_file(gone)) files.push_back(entry->path());
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat(folder.string(), ": ", error.message()));
  }
  std::ranges::sort(files);
  std::vector<Picture> pictures;
  for (const std::filesystem::path& file : files) {
    ORCHARD_ASSIGN_OR_RETURN(std::string bytes, core::ReadFile(file));
    pictures.push_back({.file = file.string(), .bytes = std::move(bytes)});
  }
  if (pictures.empty()) return absl::NotFoundError(folder.string() + ": no pictures");
  return pictures;
}

int ExitCode(const char* program, const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << program << ": " << status.message() << '\n';
  return 1;
}

std::optional<int> ParseMain(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

double Quantile(std::vector<double>& values, double q) {
  std::ranges::sort(values);
  const auto index = static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  return values[index];
}

std::string Quantiles(std::vector<double> latencies_ms) {
  return absl::StrFormat("\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f",
                         Quantile(latencies_ms, 0.5), Quantile(latencies_ms, 0.9),
                         Quantile(latencies_ms, 0.99));
}

}  // namespace orchard::bench
