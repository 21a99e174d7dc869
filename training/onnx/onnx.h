#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// \file
/// Networks as ONNX files, and as lists of layers: what `orchard-train export --format onnx` and
/// `orchard-train graph` do. A program built with ORCHARD_ONNX=OFF answers FAILED_PRECONDITION.
/// Read on in onnx_graph.h, translation.h, operators.h, translate.h (from a recording to ONNX),
/// part_facts.h, recipe_networks.h, summary.h.

namespace orchard::training {

/// Writes a served model's parts: `out`/encoder.onnx, gates.onnx and experts/<domain>.onnx, as many
/// as the model has. `model` is a version folder, or a folder of versions. Pixels come in as uint8,
/// framed as the metadata say; preprocessing and calibration are inside (docs/onnx.md). Returns
/// what was written, a line a file. Errors: ALREADY_EXISTS when there is such a file, unless
/// `overwrite`; TranslateToOnnx's, and those of reading a model; UNAVAILABLE naming the file.
absl::StatusOr<std::string> ExportOnnx(const std::filesystem::path& model,
                                       const std::filesystem::path& out, bool overwrite);

struct GraphOptions {
  std::filesystem::path what;  ///< a model, a file *.onnx, or a recipe *.textproto
  std::int64_t classes = 10;   ///< of a recipe's domain whose data don't say it, at least 2
  bool all = false;            ///< also the steps without weights
};

/// Its layers: output shapes, parameters, multiply-adds of one picture. Errors: NOT_FOUND or
/// INVALID_ARGUMENT naming the file; TranslateToOnnx's.
absl::StatusOr<std::string> GraphText(const GraphOptions& options);

}  // namespace orchard::training
