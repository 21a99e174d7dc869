#include "training/commands/compare.h"

#include <cstdio>
#include <utility>

#include "core/printable.h"
#include "core/status.h"
#include "training/measure/comparison.h"
#include "training/report/arms.h"

namespace orchard::training {

void DeclareCompare(CLI::App& app, CompareSettings& s) {
  CLI::App* compare = app.add_subcommand(
      "compare", "Test networks against each other by what their measured runs answered");
  compare->add_option("work", s.works, "work folders: of every network all folds and seeds")
      ->required();
  compare->add_option("--split", s.split, "whose predictions")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->capture_default_str();
  compare->add_flag("--json", s.json, "one JSON object instead of text");
}

absl::Status RunCompare(const CompareSettings& settings) {
  std::vector<RunAnswers> runs;
  for (const std::filesystem::path& work : settings.works) {
    ORCHARD_ASSIGN_OR_RETURN(RunAnswers run, ReadRunAnswers(work, settings.split));
    runs.push_back(std::move(run));
  }
  ORCHARD_ASSIGN_OR_RETURN(const Arms arms, GatherArms(runs));
  const Comparison comparison = CompareArms(arms.arms, arms.fold, {});
  std::fputs(
      (settings.json ? core::PrintableJson(ToJson(arms, comparison)) : ToText(arms, comparison))
          .c_str(),
      stdout);
  return absl::OkStatus();
}

}  // namespace orchard::training
