#include "training/commands/runs.h"

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <google/protobuf/text_format.h>

#include "core/printable.h"
#include "core/status.h"
#include "training/log/show_runs.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// Names and messages come from logs that others write to: they are shown, and not obeyed.
void Print(bool json, const std::string& text) {
  if (json) {
    std::fputs(core::PrintableJson(text).c_str(), stdout);
    return;
  }
  for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    std::printf("%s\n", core::Printable({line.data(), line.size()}).c_str());
  }
}

absl::Status List(RunStore& store, const RunsSettings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const auto runs, store.Read(/*id=*/"", RunStore::Detail::kSummary));
  Print(settings.json,
        settings.json ? ListJson(runs, ThisProcess()) : ListText(runs, ThisProcess()));
  return absl::OkStatus();
}

absl::Status Show(RunStore& store, const RunsSettings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const RunHistory run, ReadRun(store, settings.run));
  Print(settings.json, settings.json ? ShowJson(run, ThisProcess()) : ShowText(run, ThisProcess()));
  return absl::OkStatus();
}

absl::Status Compare(RunStore& store, const RunsSettings& settings) {
  std::vector<RunHistory> runs;
  for (const std::string& word : settings.runs) {
    ORCHARD_ASSIGN_OR_RETURN(RunHistory run, ReadRun(store, word));
    runs.push_back(std::move(run));
  }
  Print(settings.json,
        settings.json ? CompareJson(runs, ThisProcess()) : CompareText(runs, ThisProcess()));
  return absl::OkStatus();
}

/// The one subcommand that makes a log where there is none.
absl::Status Import(const RunsSettings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const auto from, MakeRunStore(settings.from));
  ORCHARD_ASSIGN_OR_RETURN(const auto to,
                           MakeRunStore(settings.log.empty() ? "runs.sqlite" : settings.log));
  ORCHARD_ASSIGN_OR_RETURN(const size_t runs, CopyRuns(*from, *to));
  std::printf("%zu runs of %s are in %s\n", runs, from->place().c_str(), to->place().c_str());
  return absl::OkStatus();
}

}  // namespace

void DeclareRunLog(CLI::App& app, std::string& where, const std::string& what) {
  app.add_option("--run-log", where, what)->envname("ORCHARD_RUN_LOG");
}

void DeclareRuns(CLI::App& app, RunsSettings& s) {
  constexpr const char* kWhere =
      "file or mongodb://HOST:PORT/DATABASE; default runs.sqlite here or in runs/";
  CLI::App* runs = app.add_subcommand("runs", "What the run log knows of trainings");
  runs->require_subcommand(1);
  CLI::App* list = runs->add_subcommand("list", "Every run, newest first");
  CLI::App* show = runs->add_subcommand("show", "All that is known of a run");
  show->add_option("run", s.run, "id, the beginning of one, a name, or last")->required();
  CLI::App* compare = runs->add_subcommand("compare", "What differs between runs, and who is best");
  compare->add_option("runs", s.runs, "ids, as show takes them")->required()->expected(2, 64);
  CLI::App* import = runs->add_subcommand("import", "Take the runs of another log into this one");
  import->add_option("from", s.from, "that log; as --run-log")->required();
  for (CLI::App* command : {list, show, compare, import}) DeclareRunLog(*command, s.log, kWhere);
  for (CLI::App* command : {list, show, compare}) {
    command->add_flag("--json", s.json, "JSON instead of tables");
  }
}

absl::Status RunRuns(const CLI::App& runs, const RunsSettings& settings) {
  if (runs.got_subcommand("import")) return Import(settings);
  ORCHARD_ASSIGN_OR_RETURN(const auto store, LogToRead(settings.log));
  if (runs.got_subcommand("list")) return List(*store, settings);
  if (runs.got_subcommand("show")) return Show(*store, settings);
  return Compare(*store, settings);
}

absl::StatusOr<std::unique_ptr<Recorder>> MakeRecorder(const std::string& where,
                                                       const v1::Recipe& recipe,
                                                       const std::string& study,
                                                       const RunPlaces& places, bool resume) {
  if (where == "none") return nullptr;
  ORCHARD_ASSIGN_OR_RETURN(
      auto store, MakeRunStore(where.empty() ? RunLogBeside(places.work).string() : where));
  std::string text;
  google::protobuf::TextFormat::PrintToString(recipe, &text);
  std::error_code error;
  std::vector<Fact> facts = MachineFacts();
  facts.push_back({.topic = "machine", .name = "device", .value = places.device});
  facts.push_back(
      {.topic = "machine", .name = "threads", .value = static_cast<std::int64_t>(places.threads)});
  return std::make_unique<Recorder>(
      std::move(store),
      Recorder::Options{.work = places.work,
                        .resume = resume,
                        .run = {.id = {},
                                .name = recipe.name(),
                                .study = study,
                                .recipe = text,
                                .work = fs::absolute(places.work, error).lexically_normal(),
                                .facts = {}},
                        .facts = std::move(facts)});
}

absl::StatusOr<std::unique_ptr<RunStore>> LogToRead(const std::string& where) {
  if (!where.empty()) return MakeRunStore(where);
  std::error_code error;
  for (const char* file : {"runs.sqlite", "runs/runs.sqlite"}) {
    if (fs::exists(file, error)) return MakeRunStore(file);
  }
  return absl::NotFoundError(
      "neither runs.sqlite nor runs/runs.sqlite is here; say with --run-log (or ORCHARD_RUN_LOG) "
      "where the runs are written down: fit writes runs.sqlite beside the work folder");
}

absl::StatusOr<RunHistory> ReadRun(RunStore& store, const std::string& word) {
  ORCHARD_ASSIGN_OR_RETURN(const auto runs, store.Read(/*id=*/"", RunStore::Detail::kSummary));
  ORCHARD_ASSIGN_OR_RETURN(const RunHistory* found, FindRun(runs, word));
  ORCHARD_ASSIGN_OR_RETURN(auto whole, store.Read(found->run.id, RunStore::Detail::kAll));
  if (whole.size() == 1) return std::move(whole.front());
  return absl::NotFoundError(absl::StrCat(found->run.id, " was removed just now"));
}

}  // namespace orchard::training
