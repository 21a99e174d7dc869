#include "training/report/gnuplot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

#include "core/status.h"
#include "core/text.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

// Ten colours that are told apart in print and by most eyes, then they come again with dashes.
constexpr std::array<const char*, 10> kColours = {"#4477aa", "#ee6677", "#228833", "#ccbb44",
                                                  "#66ccee", "#aa3377", "#bbbbbb", "#000000",
                                                  "#ee7733", "#009988"};

/// In single quotes gnuplot knows one special character, which is doubled.
std::string Quoted(const std::string& text) {
  std::string one_line = absl::StrReplaceAll(text, {{"'", "''"}, {"\n", " "}});
  return absl::StrCat("'", one_line, "'");
}

std::string Colour(size_t number) {
  return absl::StrCat("lc rgb '", kColours[number % kColours.size()], "' dt ",
                      number / kColours.size() + 1);
}

/// A line of numbers a point, and an empty one where the line is interrupted.
std::string Rows(const std::vector<std::pair<double, double>>& points) {
  std::string rows;
  for (const auto& [x, y] : points) {
    if (std::isfinite(x) && std::isfinite(y))
      absl::StrAppendFormat(&rows, "%.6g %.6g\n", x, y);
    else
      absl::StrAppend(&rows, "\n");
  }
  return rows;
}

/// Each line's points with the height below them: "x below above".
std::vector<std::string> StackedRows(const std::vector<Line>& lines) {
  std::vector<double> below;
  std::vector<std::string> all;
  for (const Line& line : lines) {
    below.resize(std::max(below.size(), line.points.size()), 0.0);
    std::string& rows = all.emplace_back();
    for (size_t i = 0; i < line.points.size(); ++i) {
      const auto [x, y] = line.points[i];
      const double height = below[i] + (std::isfinite(y) ? y : 0.0);
      absl::StrAppendFormat(&rows, "%.6g %.6g %.6g\n", x, below[i], height);
      below[i] = height;
    }
  }
  return all;
}

std::string LinesScript(const Chart& chart) {
  std::string blocks;
  std::vector<std::string> plots;
  const std::vector<std::string> stacked =
      chart.areas ? StackedRows(chart.lines) : std::vector<std::string>{};
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    const Line& line = chart.lines[i];
    // gnuplot ends with an error where there is nothing at all to draw.
    if (std::ranges::none_of(line.points,
                             [](const auto& at) { return std::isfinite(at.second); })) {
      continue;
    }
    absl::StrAppend(&blocks, "$d", i, " << END\n", chart.areas ? stacked[i] : Rows(line.points),
                    "END\n");
    const std::string how =
        chart.areas ? absl::StrCat("using 1:2:3 with filledcurves fc rgb '",
                                   kColours[i % kColours.size()], "'")
                    : absl::StrCat("using 1:2 with linespoints pt 7 ps 0.3 lw 1.5 ", Colour(i));
    plots.push_back(absl::StrCat("$d", i, " ", how, " title ", Quoted(line.name)));
  }
  if (chart.unit) plots.push_back("x with lines lc rgb '#999999' dt 2 notitle");
  if (plots.empty()) {
    return "set xrange [0:1]\nset yrange [0:1]\nset label 'no values' at graph 0.5,0.5 center\n"
           "plot -1 notitle\n";
  }
  return absl::StrCat(blocks, chart.unit ? "set xrange [0:1]\nset yrange [0:1]\n" : "",
                      chart.areas ? "set yrange [0:1]\n" : "", "plot ", absl::StrJoin(plots, ", "),
                      "\n");
}

std::string MatrixScript(const Chart& chart) {
  std::string rows;
  for (const std::vector<double>& row : chart.matrix) {
    absl::StrAppend(&rows, absl::StrJoin(row, " "), "\n");
  }
  const size_t size = chart.matrix.size();
  std::string tics;
  if (!chart.names.empty()) {
    std::vector<std::string> named;
    for (size_t i = 0; i < chart.names.size(); ++i) {
      named.push_back(absl::StrCat(Quoted(chart.names[i]), " ", i));
    }
    const std::string list = absl::StrJoin(named, ", ");
    tics = absl::StrCat("set xtics rotate by 60 right font ',8' (", list,
                        ")\nset ytics font ',8' (", list, ")\n");
  }
  return absl::StrCat(
      "$d << END\n", rows, "END\n", tics, "unset key\nset cbrange [0:1]\n",
      "set palette defined (0 '#ffffff', 0.02 '#cfe3f5', 1 '#08306b')\n",
      absl::StrFormat("set xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\n", size - 1, size - 1),
      "plot $d matrix with image notitle\n");
}

/// The shell's exit status, and what it wrote.
std::pair<int, std::string> Run(const std::string& command) {
  std::string said;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "no process can be started"};
  std::array<char, 4096> buffer{};
  for (size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    said.append(buffer.data(), n);
  }
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, said};
}

/// In a shell's single quotes.
std::string ShellWord(const fs::path& path) {
  return absl::StrCat("'", absl::StrReplaceAll(path.string(), {{"'", "'\\''"}}), "'");
}

}  // namespace

std::string GnuplotScript(const Chart& chart, ChartFormat format, const fs::path& file) {
  const bool matrix = !chart.matrix.empty();
  const int width = matrix ? 760 : 560, height = matrix ? 680 : 340;
  const char* terminal = format == ChartFormat::kSvg ? "svg" : "pngcairo";
  const std::string body = matrix ? MatrixScript(chart) : LinesScript(chart);
  return absl::StrCat(
      "reset\n",
      absl::StrFormat("set terminal %s noenhanced size %d,%d font 'sans,11' background '#ffffff'\n",
                      terminal, width, height),
      "set output ", Quoted(file.string()), "\nset title ", Quoted(chart.title), "\nset xlabel ",
      Quoted(chart.x), "\nset ylabel ", Quoted(chart.y),
      "\nset grid lc rgb '#dddddd'\nset key outside right top font ',9'\n", body, "unset output\n");
}

absl::Status Draw(const std::vector<Chart>& charts, ChartFormat format, const fs::path& folder) {
  const char* ending = format == ChartFormat::kSvg ? ".svg" : ".png";
  std::string script;
  for (size_t i = 0; i < charts.size(); ++i) {
    absl::StrAppend(&script, GnuplotScript(charts[i], format, folder / absl::StrCat(i, ending)));
  }
  const fs::path file = folder / "charts.gnuplot";
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(file, script));
  const auto [code, said] = Run(absl::StrCat("gnuplot ", ShellWord(file), " 2>&1"));
  std::error_code ignored;
  fs::remove(file, ignored);
  if (code == 127) {
    return absl::NotFoundError(
        "gnuplot, which draws the charts, is not installed (Debian: gnuplot-nox)");
  }
  if (code != 0) return absl::InternalError(absl::StrCat("gnuplot: ", said));
  return absl::OkStatus();
}

}  // namespace orchard::training
