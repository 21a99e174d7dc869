#pragma once

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

/// \file
/// What a page of /metrics says.

namespace orchard::testing {

using Labels = std::map<std::string, std::string>;

/// The sum of the samples called `name` that have all of `labels`, whatever else they have; 0 when
/// there is none.
inline double SumOf(const std::string& page, const std::string& name, const Labels& labels = {}) {
  std::istringstream lines(page);
  double sum = 0.0;
  for (std::string line; std::getline(lines, line);) {
    const size_t end = line.find_first_of("{ ");
    if (end == std::string::npos || line.substr(0, end) != name) continue;
    const bool fits = std::ranges::all_of(labels, [&](const auto& label) {
      return line.find(label.first + "=\"" + label.second + "\"") != std::string::npos;
    });
    if (fits) sum += std::stod(line.substr(line.rfind(' ')));
  }
  return sum;
}

}  // namespace orchard::testing
