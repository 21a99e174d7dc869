#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <CLI/CLI.hpp>

namespace orchard::bench {

struct Picture {
  std::string file;   ///< its path, for messages
  std::string bytes;  ///< as they are on disk; nobody has looked whether they are a picture
};

/// The files of `folder`, whole, in name order. Errors: NOT_FOUND when there is none, UNAVAILABLE
/// for a folder or file that can't be read; both name it.
absl::StatusOr<std::vector<Picture>> ReadPictures(const std::filesystem::path& folder);

/// Says on stderr why `program` failed, when it did. Returns the exit code: 0 or 1.
int ExitCode(const char* program, const absl::Status& status);

/// Reads the command line. Returns the exit code when the program is done with that: 0 after
/// --help, 2 for wrong usage.
std::optional<int> ParseMain(CLI::App& app, int argc, char** argv);

/// {"p50_ms": …, "p90_ms": …, "p99_ms": …} of `latencies_ms`, as JSON members without braces.
std::string Quantiles(std::vector<double> latencies_ms);

/// The q-quantile, q in [0, 1], of `values`, which it sorts; at least one.
double Quantile(std::vector<double>& values, double q);

}  // namespace orchard::bench
