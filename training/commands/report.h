#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include <CLI/CLI.hpp>

namespace orchard::training {

struct ReportSettings {
  std::string run;  ///< as `runs show` takes it
  std::string log;
  std::string split;  ///< empty: test where there are predictions of it, else validation
  std::filesystem::path out, png;  ///< empty: NAME-ID.html here; no PNG
  std::filesystem::path work;      ///< empty: the run's own
  std::filesystem::path data;      ///< of the pictures; empty: none is shown
};

/// `orchard-train report RUN`: one HTML page of a run.
void DeclareReport(CLI::App& app, ReportSettings& settings);
absl::Status RunReport(const ReportSettings& settings);

}  // namespace orchard::training
