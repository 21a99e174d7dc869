#include "training/log/records.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <nlohmann/json.hpp>

namespace orchard::training {
namespace {

using Json = nlohmann::ordered_json;
using Named = std::vector<std::pair<std::string, double>>;

double NumberOf(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

Json FromNamed(const Named& named) {
  Json json = Json::object();
  for (const auto& [name, value] : named) json[name] = value;
  return json;
}

Named ToNamed(const Json& json) {
  Named named;
  for (const auto& [name, value] : json.items()) named.emplace_back(name, NumberOf(value));
  return named;
}

/// {topic: {name: value}}.
Json FromFacts(const std::vector<Fact>& facts) {
  Json json = Json::object();
  for (const Fact& fact : facts) {
    std::visit([&](const auto& value) { json[fact.topic][fact.name] = value; }, fact.value);
  }
  return json;
}

std::vector<Fact> ToFacts(const Json& json) {
  std::vector<Fact> facts;
  for (const auto& [topic, values] : json.items()) {
    for (const auto& [name, value] : values.items()) {
      facts.push_back({.topic = topic, .name = name, .value = {}});
      if (value.is_number()) {
        facts.back().value = value.get<std::int64_t>();
      } else {
        facts.back().value = value.get<std::string>();
      }
    }
  }
  return facts;
}

/// What `read` makes of a JSON object; its exceptions end here.
template <typename T, typename Read>
absl::StatusOr<T> Reading(const char* what, const Read& read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("a record of ", what, ": ", error.what()));
  }
}

template <typename T>
Json All(const std::vector<T>& records) {
  Json json = Json::array();
  for (const T& record : records) json.push_back(ToJson(record));
  return json;
}

}  // namespace

std::vector<RunRecord> RecordsOf(const RunHistory& history) {
  std::vector<RunRecord> records = {history.run};
  records.insert(records.end(), history.pieces.begin(), history.pieces.end());
  records.insert(records.end(), history.epochs.begin(), history.epochs.end());
  records.insert(records.end(), history.files.begin(), history.files.end());
  return records;
}

std::string StateOf(const RunHistory& history, const ProcessId& self,
                    bool (*alive)(const ProcessId&)) {
  if (history.pieces.empty()) return "elsewhere";  // What began it isn't known yet.
  const Piece& last = history.pieces.back();
  if (!last.ended.empty()) return last.outcome;
  if (last.process.host != self.host) return "elsewhere";
  if (last.process.boot == self.boot) return alive(last.process) ? "running" : "killed";
  // Another namespace of process numbers of the same boot (a container) can't be looked into.
  const auto boot_of = [](const std::string& boot) { return boot.substr(0, boot.find(' ')); };
  return boot_of(last.process.boot) == boot_of(self.boot) ? "elsewhere" : "killed";
}

const EpochEntry* BestEpoch(const RunHistory& history) {
  const EpochEntry* best = nullptr;
  for (const EpochEntry& entry : history.epochs) {
    if (!entry.epoch.validated || std::isnan(entry.epoch.validation)) continue;
    if (best == nullptr || entry.epoch.validation > best->epoch.validation) best = &entry;
  }
  return best;
}

absl::StatusOr<const RunHistory*> FindRun(const std::vector<RunHistory>& histories,
                                          const std::string& word) {
  if (word == "last" && !histories.empty()) return &histories.front();
  std::vector<const RunHistory*> found;
  for (const RunHistory& history : histories) {
    if (history.run.id == word) return &history;
    if (absl::StartsWith(history.run.id, word) || history.run.name == word) {
      found.push_back(&history);
    }
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("no run is called \"", word,
                                            "\"; `orchard-train runs list` shows the ",
                                            histories.size(), " that there are"));
  }
  const auto id = [](std::string* out, const RunHistory* run) {
    absl::StrAppend(out, run->run.id);
  };
  return absl::InvalidArgumentError(absl::StrCat("\"", word, "\" may be any of ", found.size(),
                                                 " runs: ", absl::StrJoin(found, ", ", id)));
}

Json ToJson(const RunInfo& run) {
  return {{"id", run.id},         {"name", run.name}, {"study", run.study},
          {"recipe", run.recipe}, {"work", run.work}, {"facts", FromFacts(run.facts)}};
}

Json ToJson(const Piece& piece) {
  return {{"number", piece.number},
          {"started", piece.started},
          {"seen", piece.seen},
          {"ended", piece.ended},
          {"outcome", piece.outcome},
          {"message", piece.message},
          {"host", piece.process.host},
          {"boot", piece.process.boot},
          {"pid", piece.process.pid},
          {"process_started", piece.process.started},
          {"facts", FromFacts(piece.facts)}};
}

Json ToJson(const EpochEntry& entry) {
  const EpochRecord& epoch = entry.epoch;
  Json json = {{"phase", epoch.phase},
               {"epoch", epoch.epoch},
               {"piece", entry.piece},
               {"at", entry.at},
               {"steps", epoch.steps},
               {"loss", epoch.loss},
               {"terms", FromNamed(epoch.terms)},
               {"rate_factor", epoch.rate_factor},
               {"gradient_norm", epoch.gradient_norm},
               {"seconds", epoch.seconds},
               {"pictures_per_second", epoch.pictures_per_second}};
  if (epoch.validated) json["validation"] = epoch.validation;
  if (!epoch.measures.empty()) json["measures"] = FromNamed(epoch.measures);
  if (!epoch.expert_load.empty()) json["expert_load"] = epoch.expert_load;
  if (!epoch.verdicts.empty()) {
    for (const auto& [name, word] : epoch.verdicts) json["verdicts"][name] = word;
  }
  return json;
}

Json ToJson(const FileEntry& file) {
  return {{"name", file.name},
          {"epoch", file.epoch},
          {"at", file.at},
          {"sha256", file.sha256},
          {"bytes", file.bytes}};
}

Json ToJson(const RunHistory& history) {
  Json json = ToJson(history.run);
  json["pieces"] = All(history.pieces);
  json["epochs"] = All(history.epochs);
  json["files"] = All(history.files);
  return json;
}

absl::StatusOr<RunInfo> RunInfoFromJson(const Json& json) {
  return Reading<RunInfo>("a run", [&] {
    return RunInfo{.id = json.at("id"),
                   .name = json.at("name"),
                   .study = json.at("study"),
                   .recipe = json.at("recipe"),
                   .work = json.at("work"),
                   .facts = ToFacts(json.at("facts"))};
  });
}

absl::StatusOr<Piece> PieceFromJson(const Json& json) {
  return Reading<Piece>("a piece", [&] {
    return Piece{.number = json.at("number"),
                 .started = json.at("started"),
                 .seen = json.at("seen"),
                 .ended = json.at("ended"),
                 .outcome = json.at("outcome"),
                 .message = json.at("message"),
                 .process = {.host = json.at("host"),
                             .boot = json.at("boot"),
                             .pid = json.at("pid"),
                             .started = json.at("process_started")},
                 .facts = ToFacts(json.at("facts"))};
  });
}

absl::StatusOr<EpochEntry> EpochFromJson(const Json& json) {
  return Reading<EpochEntry>("an epoch", [&] {
    EpochEntry entry{.epoch = {}, .piece = json.at("piece"), .at = json.at("at")};
    EpochRecord& epoch = entry.epoch;
    epoch.phase = json.at("phase");
    epoch.epoch = json.at("epoch");
    epoch.steps = json.at("steps");
    epoch.loss = NumberOf(json.at("loss"));
    epoch.terms = ToNamed(json.at("terms"));
    epoch.rate_factor = NumberOf(json.at("rate_factor"));
    epoch.gradient_norm = NumberOf(json.at("gradient_norm"));
    epoch.seconds = NumberOf(json.at("seconds"));
    epoch.pictures_per_second = NumberOf(json.at("pictures_per_second"));
    epoch.validated = json.contains("validation");
    if (epoch.validated) epoch.validation = NumberOf(json.at("validation"));
    if (json.contains("measures")) epoch.measures = ToNamed(json.at("measures"));
    if (json.contains("expert_load")) {
      for (const Json& layer : json.at("expert_load")) {
        std::vector<double>& loads = epoch.expert_load.emplace_back();
        for (const Json& load : layer) loads.push_back(NumberOf(load));
      }
    }
    if (json.contains("verdicts")) {
      for (const auto& [name, word] : json.at("verdicts").items()) {
        epoch.verdicts.emplace_back(name, word.get<std::string>());
      }
    }
    return entry;
  });
}

absl::StatusOr<FileEntry> FileFromJson(const Json& json) {
  return Reading<FileEntry>("a file", [&] {
    return FileEntry{.name = json.at("name"),
                     .epoch = json.at("epoch"),
                     .at = json.at("at"),
                     .sha256 = json.at("sha256"),
                     .bytes = json.at("bytes")};
  });
}

}  // namespace orchard::training
