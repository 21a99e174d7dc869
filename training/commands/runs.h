#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <CLI/CLI.hpp>

#include "orchard/training/v1/recipe.pb.h"
#include "training/log/recorder.h"
#include "training/work_folder.h"

/// \file
/// `orchard-train runs …`, and the run log of `fit`.

namespace orchard::training {

struct RunsSettings {
  std::string log;  ///< --run-log; empty: what LogToRead finds
  std::string from;
  std::string run;
  std::vector<std::string> runs;
  bool json = false;
};

void DeclareRuns(CLI::App& app, RunsSettings& settings);

/// `runs`: the subcommand that DeclareRuns has added, parsed.
absl::Status RunRuns(const CLI::App& runs, const RunsSettings& settings);

/// `--run-log` of a subcommand that reads or writes one.
void DeclareRunLog(CLI::App& app, std::string& where, const std::string& what);

/// What records a run of `fit`: `where` as MakeRunStore takes it, empty for the file beside the
/// work folder; null for "none". Errors: MakeRunStore's.
absl::StatusOr<std::unique_ptr<Recorder>> MakeRecorder(const std::string& where,
                                                       const v1::Recipe& recipe,
                                                       const std::string& study,
                                                       const RunPlaces& places, bool resume);

/// The log that `where` names; where it is empty, runs.sqlite here or in runs/. Errors: NOT_FOUND
/// naming both; MakeRunStore's.
absl::StatusOr<std::unique_ptr<RunStore>> LogToRead(const std::string& where);

/// All of the run that `word` means (FindRun).
absl::StatusOr<RunHistory> ReadRun(RunStore& store, const std::string& word);

}  // namespace orchard::training
