#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include <CLI/CLI.hpp>

namespace orchard::training {

struct CompareSettings {
  std::vector<std::filesystem::path> works;
  std::string split = "test";
  bool json = false;
};

/// `orchard-train compare WORK…`: networks on the same pictures, by what their runs answered.
void DeclareCompare(CLI::App& app, CompareSettings& settings);
absl::Status RunCompare(const CompareSettings& settings);

}  // namespace orchard::training
