#include "training/commands/report.h"

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "core/text.h"
#include "training/commands/runs.h"
#include "training/report/run_page.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// The split whose predictions are shown; empty where there are none.
std::string SplitToShow(const fs::path& work, const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  std::error_code error;
  for (const char* split : {"test", "validation"}) {
    if (fs::exists(work / absl::StrCat("predictions-", split, ".tsv"), error)) return split;
  }
  return {};
}

/// Whether the folder is another run's by now: a new one in it writes over the predictions.
bool IsOfAnother(const fs::path& work, const std::string& id) {
  const absl::StatusOr<std::string> text = core::ReadFile(work / kRunId);
  return text.ok() && !absl::StartsWith(*text, id);
}

absl::Status WriteCharts(const std::vector<Chart>& charts, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return absl::UnavailableError(absl::StrCat(folder.string(), ": ", error.message()));
  return Draw(charts, ChartFormat::kPng, folder);
}

/// Of a run's name only what stays one file's name.
std::string FileNameOf(const RunHistory& run) {
  std::string name = absl::StrCat(run.run.name, "-", run.run.id);
  for (char& character : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(character)) && character != '-' &&
        character != '.') {
      character = '_';
    }
  }
  return name + ".html";
}

}  // namespace

void DeclareReport(CLI::App& app, ReportSettings& s) {
  CLI::App* report = app.add_subcommand("report", "A run as one HTML page, drawn by gnuplot");
  report->add_option("run", s.run, "id, the beginning of one, a name, or last")->required();
  report->add_option("--out", s.out, "the page; default NAME-ID.html here");
  report->add_option("--png", s.png, "folder to draw the charts into as PNG, too");
  report->add_option("--work", s.work, "the run's work folder, where it was moved");
  report->add_option("--data", s.data, "folder of its pictures, to show the worst errors");
  report->add_option("--split", s.split, "whose predictions; default test, else validation")
      ->check(CLI::IsMember({"train", "validation", "test"}));
  DeclareRunLog(*report, s.log,
                "file or mongodb://HOST:PORT/DATABASE; default runs.sqlite here or in runs/");
}

absl::Status RunReport(const ReportSettings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const auto store, LogToRead(settings.log));
  ORCHARD_ASSIGN_OR_RETURN(const RunHistory run, ReadRun(*store, settings.run));
  const fs::path work = settings.work.empty() ? fs::path(run.run.work) : settings.work;
  std::string split = SplitToShow(work, settings.split);
  if (settings.work.empty() && !split.empty() && IsOfAnother(work, run.run.id)) {
    std::fprintf(stderr, "orchard-train: %s is another run's by now: no predictions are shown\n",
                 work.c_str());
    split.clear();
  }
  std::optional<std::vector<Prediction>> predictions;
  if (!split.empty()) {
    ORCHARD_ASSIGN_OR_RETURN(predictions,
                             ReadPredictions(work / absl::StrCat("predictions-", split, ".tsv")));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::string page,
                           RunPage(run, predictions, {.data = settings.data, .split = split}));
  const fs::path out = settings.out.empty() ? fs::path(FileNameOf(run)) : settings.out;
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(out, page));
  std::printf("%s (%s)\n", out.c_str(), core::HumanBytes(page.size()).c_str());
  if (settings.png.empty()) return absl::OkStatus();
  std::vector<Chart> charts = HistoryCharts(run);
  if (predictions && !predictions->empty()) {
    for (Chart& chart : PredictionCharts(*predictions)) charts.push_back(std::move(chart));
  }
  return WriteCharts(charts, settings.png);
}

}  // namespace orchard::training
