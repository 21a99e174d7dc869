#pragma once

#include <string>

#include "absl/status/status.h"
#include <CLI/CLI.hpp>

#include "training/onnx/onnx.h"

/// \file
/// `orchard-train graph`, and `export --format onnx`.

namespace orchard::training {

void DeclareGraph(CLI::App& app, GraphOptions& options);

absl::Status RunGraph(const GraphOptions& options);

/// Writes a served model's parts as ONNX files and says which.
absl::Status RunOnnxExport(const std::filesystem::path& model, const std::filesystem::path& out,
                           bool overwrite);

}  // namespace orchard::training
