#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace orchard::bench {

/// The files of `folder`, whole, in name order. Ends the program with a message when there is none.
std::vector<std::string> ReadPictures(const std::filesystem::path& folder);

/// {"p50_ms": …, "p90_ms": …, "p99_ms": …} of `latencies_ms`, as JSON members without braces.
std::string Quantiles(std::vector<double> latencies_ms);

/// The q-quantile, q in [0, 1], of `values`, which it sorts.
double Quantile(std::vector<double>& values, double q);

}  // namespace orchard::bench
