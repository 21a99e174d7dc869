#pragma once

#include <string>
#include <vector>

#include "clients/cpp/bench/load.h"

namespace orchard::client {

/// A finished run, with what is needed to repeat it.
struct LoadReport {
  std::vector<std::string> servers;
  size_t pictures = 0;  ///< that the requests go round
  LoadPlan plan{};
  LoadResult result{};
};

/// One JSON object, indented; its fields are docs/clients.md's, and every one is always there.
std::string LoadJson(const LoadReport& report);

/// The same for people: what was planned and what became of it, then a table of times.
std::string LoadText(const LoadReport& report);

}  // namespace orchard::client
