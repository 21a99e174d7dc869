#include "bench/serving/pictures.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "absl/strings/str_format.h"

#include "core/text.h"

namespace orchard::bench {

std::vector<std::string> ReadPictures(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<std::string> pictures;
  for (const std::filesystem::path& file : files) {
    if (auto bytes = core::ReadFile(file); bytes.ok()) pictures.push_back(*std::move(bytes));
  }
  if (pictures.empty()) {
    std::cerr << folder.string() << ": no pictures\n";
    std::exit(1);
  }
  return pictures;
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
