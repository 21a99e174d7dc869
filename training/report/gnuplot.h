#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace orchard::training {

/// A named line through points.
struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< (x, y); a NaN interrupts the line
};

/// One chart. Either lines or a matrix.
struct Chart {
  std::string title, x, y;
  std::vector<Line> lines;
  bool areas = false;                            ///< lines are shares, drawn on each other
  bool unit = false;                             ///< both axes go from 0 to 1, with the diagonal
  std::vector<std::vector<double>> matrix = {};  ///< shares [rows][columns], the first row on top
  std::vector<std::string> names = {};           ///< of the matrix's rows and columns; may be empty
};

enum class ChartFormat { kSvg, kPng };

/// What gnuplot is told to draw `chart` into `file`.
std::string GnuplotScript(const Chart& chart, ChartFormat format,
                          const std::filesystem::path& file);

/// Draws the charts into `folder` as 0.svg, 1.svg … (or .png). Errors: NOT_FOUND when gnuplot isn't
/// installed; INTERNAL with what it says; UNAVAILABLE naming a file.
absl::Status Draw(const std::vector<Chart>& charts, ChartFormat format,
                  const std::filesystem::path& folder);

}  // namespace orchard::training
