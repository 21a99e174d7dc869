#include "training/log/show_runs.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <nlohmann/json.hpp>

#include "training/log/progress.h"
#include "training/log/recipe_fields.h"

namespace orchard::training {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;
using Named = std::vector<std::pair<std::string, double>>;

/// Columns as wide as their widest cell, two blanks between them, none at the end of a line.
std::string Table(const std::vector<Row>& rows, const std::string& indent = "") {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = indent;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i], std::string(widths[i] + 2 - row[i].size(), ' '));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

std::string ValueText(const Fact& fact) {
  if (const auto* whole = std::get_if<std::int64_t>(&fact.value)) return absl::StrCat(*whole);
  return std::get<std::string>(fact.value);
}

std::string Figure(double value) { return absl::StrFormat("%.4f", value); }

/// "2026-03-01 14:05" of a moment.
std::string Minute(const std::string& moment) {
  std::string minute = moment.substr(0, 16);
  if (minute.size() > 10) minute[10] = ' ';
  return minute;
}

std::string Started(const RunHistory& run) {
  return run.pieces.empty() ? "" : run.pieces.front().started;
}

double TrainingSeconds(const RunHistory& run) {
  double seconds = 0.0;
  for (const EpochEntry& entry : run.epochs) seconds += entry.epoch.seconds;
  return seconds;
}

/// Facts of a run and of its last piece; those of the pieces before it may have been others.
std::vector<Fact> FactsOf(const RunHistory& run) {
  std::vector<Fact> facts = run.run.facts;
  if (run.pieces.empty()) return facts;
  const std::vector<Fact>& last = run.pieces.back().facts;
  facts.insert(facts.end(), last.begin(), last.end());
  return facts;
}

/// The figures that runs are compared by, by name, in a fixed order.
std::vector<std::pair<std::string, Json>> KeyFigures(const RunHistory& run, const ProcessId& self) {
  std::vector<std::pair<std::string, Json>> figures = {
      {"state", StateOf(run, self)}, {"pieces", run.pieces.size()}, {"epochs", run.epochs.size()}};
  if (const EpochEntry* best = BestEpoch(run); best != nullptr) {
    figures.emplace_back("best_validation", best->epoch.validation);
    figures.emplace_back("best_epoch", absl::StrCat(best->epoch.phase, " ", best->epoch.epoch));
    for (const auto& [name, value] : best->epoch.measures) {
      figures.emplace_back("there: " + name, value);
    }
  }
  if (!run.epochs.empty()) figures.emplace_back("last_loss", run.epochs.back().epoch.loss);
  figures.emplace_back("seconds", TrainingSeconds(run));
  return figures;
}

std::string CellOf(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return Figure(value.get<double>());
  return value.is_null() ? "" : value.dump();
}

/// A line for each name that a run has, its values beside each other.
std::vector<Row> Beside(const std::vector<std::vector<std::pair<std::string, Json>>>& runs) {
  std::vector<Row> rows;
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [name, value] : runs[i]) {
      const auto [at, is_new] = index.emplace(name, rows.size());
      if (is_new) rows.emplace_back(runs.size() + 1).front() = name;
      rows[at->second][i + 1] = CellOf(value);
    }
  }
  return rows;
}

/// Facts that are not the same in all of the runs.
std::vector<RecipeDifference> CompareFacts(const std::vector<RunHistory>& histories) {
  std::vector<std::vector<std::pair<std::string, Json>>> facts;
  for (const RunHistory& run : histories) {
    auto& own = facts.emplace_back();
    for (const Fact& fact : FactsOf(run)) {
      own.emplace_back(absl::StrCat(fact.topic, ".", fact.name), ValueText(fact));
    }
  }
  std::vector<RecipeDifference> differences;
  for (Row& row : Beside(facts)) {
    if (std::ranges::count(row.begin() + 1, row.end(), row[1]) + 1 ==
        static_cast<std::ptrdiff_t>(row.size())) {
      continue;
    }
    differences.push_back({row[0], Row(row.begin() + 1, row.end())});
  }
  return differences;
}

std::vector<RecipeDifference> RecipeDifferences(const std::vector<RunHistory>& histories) {
  std::vector<std::string> texts;
  for (const RunHistory& run : histories) texts.push_back(run.run.recipe);
  return CompareRecipes(texts);
}

std::string PieceLine(const RunHistory& run, const Piece& piece, const ProcessId& self) {
  const bool last = &piece == &run.pieces.back();
  std::string line = absl::StrFormat(
      "piece %d: %s, from %s to %s on %s", piece.number,
      last ? StateOf(run, self) : (piece.ended.empty() ? "killed" : piece.outcome), piece.started,
      piece.ended.empty() ? piece.seen + " (last heard of)" : piece.ended, piece.process.host);
  if (!piece.message.empty()) absl::StrAppend(&line, ": ", piece.message);
  return line + "\n";
}

/// The figure of that name; empty without one.
std::string FigureOf(const Named& figures, const std::string& name) {
  const auto found = std::ranges::find(figures, name, &Named::value_type::first);
  return found == figures.end() ? "" : Figure(found->second);
}

/// Epochs of one phase as a table. The terms stand behind the loss, what else a validation found
/// behind its figure: a term and a measure may have one name.
std::string PhaseTable(const std::vector<const EpochRecord*>& epochs) {
  const Named& terms = epochs.front()->terms;
  const auto measured = std::ranges::find_if(
      epochs, [](const EpochRecord* epoch) { return !epoch->measures.empty(); });
  const Named measures = measured == epochs.end() ? Named() : (*measured)->measures;
  Row head = {"epoch", "loss"};
  for (const auto& [name, value] : terms) head.push_back(name);
  for (const char* name : {"rate", "norm", "validation"}) head.emplace_back(name);
  for (const auto& [name, value] : measures) head.push_back(name);
  for (const char* name : {"pictures/s", "seconds"}) head.emplace_back(name);
  std::vector<Row> rows = {head};
  for (const EpochRecord* epoch : epochs) {
    Row& row = rows.emplace_back(Row{absl::StrCat(epoch->epoch), Figure(epoch->loss)});
    for (const auto& [name, value] : terms) row.push_back(FigureOf(epoch->terms, name));
    row.push_back(Figure(epoch->rate_factor));
    row.push_back(Figure(epoch->gradient_norm));
    row.push_back(epoch->validated ? Figure(epoch->validation) : "");
    for (const auto& [name, value] : measures) row.push_back(FigureOf(epoch->measures, name));
    row.push_back(absl::StrFormat("%.1f", epoch->pictures_per_second));
    row.push_back(absl::StrFormat("%.1f", epoch->seconds));
  }
  return Table(rows, "  ");
}

std::string VerdictLines(const RunHistory& run) {
  std::string text;
  for (auto entry = run.epochs.rbegin(); entry != run.epochs.rend(); ++entry) {
    if (entry->epoch.verdicts.empty()) continue;
    absl::StrAppend(&text, "routers after ", entry->epoch.phase, " ", entry->epoch.epoch, ":\n");
    for (const auto& [name, word] : entry->epoch.verdicts) {
      absl::StrAppend(&text, "  ", name, ": ", word, "\n");
    }
    break;
  }
  return text;
}

Json Summary(const RunHistory& run, const ProcessId& self) {
  Json json = {
      {"id", run.run.id},        {"name", run.run.name},
      {"study", run.run.study},  {"work", run.run.work},
      {"started", Started(run)}, {"seen", run.pieces.empty() ? "" : run.pieces.back().seen}};
  for (auto& [name, value] : KeyFigures(run, self)) {
    if (!name.starts_with("there: ")) json[name] = value;
  }
  return json;
}

Json FromDifferences(const std::vector<RecipeDifference>& differences) {
  Json json = Json::object();
  for (const RecipeDifference& difference : differences) {
    json[difference.field] = difference.values;
  }
  return json;
}

std::string Dump(const Json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ListText(const std::vector<RunHistory>& histories, const ProcessId& self) {
  std::vector<Row> rows = {
      {"id", "name", "study", "state", "epochs", "best", "started (UTC)", "training"}};
  for (const RunHistory& run : histories) {
    const EpochEntry* best = BestEpoch(run);
    rows.push_back({run.run.id, run.run.name, run.run.study, StateOf(run, self),
                    absl::StrCat(run.epochs.size()),
                    best == nullptr ? "" : Figure(best->epoch.validation), Minute(Started(run)),
                    Duration(TrainingSeconds(run))});
  }
  return Table(rows);
}

std::string ShowText(const RunHistory& history, const ProcessId& self) {
  std::string text =
      absl::StrFormat("%s  %s (%s), %s\nwork folder: %s\n", history.run.id, history.run.name,
                      history.run.study, StateOf(history, self), history.run.work);
  for (const Piece& piece : history.pieces) absl::StrAppend(&text, PieceLine(history, piece, self));
  std::vector<Row> facts;
  for (const Fact& fact : FactsOf(history)) {
    facts.push_back({absl::StrCat(fact.topic, ".", fact.name), ValueText(fact)});
  }
  absl::StrAppend(&text, Table(facts, "  "));
  std::vector<std::pair<std::string, std::vector<const EpochRecord*>>> phases;
  for (const EpochEntry& entry : history.epochs) {
    if (phases.empty() || phases.back().first != entry.epoch.phase) {
      phases.emplace_back(entry.epoch.phase, std::vector<const EpochRecord*>());
    }
    phases.back().second.push_back(&entry.epoch);
  }
  for (const auto& [phase, epochs] : phases) {
    absl::StrAppend(&text, "phase ", phase, ":\n", PhaseTable(epochs));
  }
  absl::StrAppend(&text, VerdictLines(history));
  if (!history.files.empty()) absl::StrAppend(&text, "files:\n");
  std::vector<Row> files;
  for (const FileEntry& file : history.files) {
    files.push_back({file.sha256, absl::StrCat(file.bytes), file.name,
                     file.epoch > 0 ? absl::StrCat("after epoch ", file.epoch) : ""});
  }
  return text + Table(files, "  ");
}

std::string CompareText(const std::vector<RunHistory>& histories, const ProcessId& self) {
  Row head = {"figure"}, names = {""};
  std::vector<std::vector<std::pair<std::string, Json>>> figures;
  for (const RunHistory& run : histories) {
    head.push_back(run.run.id);
    names.push_back(run.run.name);
    figures.push_back(KeyFigures(run, self));
  }
  const auto section = [&](const char* title, std::vector<Row> rows) {
    head.front() = title;
    rows.insert(rows.begin(), {head});
    return Table(rows);
  };
  const auto differing = [](const std::vector<RecipeDifference>& differences) {
    std::vector<Row> rows;
    for (const RecipeDifference& difference : differences) {
      Row& row = rows.emplace_back(Row{difference.field});
      for (const std::string& value : difference.values) row.push_back(value.empty() ? "-" : value);
    }
    return rows;
  };
  std::vector<Row> beside = Beside(figures);
  beside.insert(beside.begin(), names);
  std::string text = section("figure", beside);
  const std::vector<RecipeDifference> recipe = RecipeDifferences(histories);
  absl::StrAppend(
      &text, "\n",
      recipe.empty() ? "The recipes are equal.\n" : section("recipe", differing(recipe)));
  const std::vector<RecipeDifference> facts = CompareFacts(histories);
  if (!facts.empty()) absl::StrAppend(&text, "\n", section("fact", differing(facts)));
  return text;
}

std::string ListJson(const std::vector<RunHistory>& histories, const ProcessId& self) {
  Json json = Json::array();
  for (const RunHistory& run : histories) json.push_back(Summary(run, self));
  return Dump(json);
}

std::string ShowJson(const RunHistory& history, const ProcessId& self) {
  Json json = {{"state", StateOf(history, self)}};
  json.update(ToJson(history));
  return Dump(json);
}

std::string CompareJson(const std::vector<RunHistory>& histories, const ProcessId& self) {
  Json runs = Json::array();
  for (const RunHistory& run : histories) {
    Json json = Summary(run, self);
    const EpochEntry* best = BestEpoch(run);
    if (best != nullptr) {
      for (const auto& [name, value] : best->epoch.measures) json["best_measures"][name] = value;
    }
    runs.push_back(json);
  }
  return Dump({{"runs", runs},
               {"recipe", FromDifferences(RecipeDifferences(histories))},
               {"facts", FromDifferences(CompareFacts(histories))}});
}

}  // namespace orchard::training
