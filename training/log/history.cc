#include "training/log/history.h"

#include <cstdio>
#include <fstream>
#include <system_error>

#include "absl/strings/str_split.h"
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/text.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

using Named = std::vector<std::pair<std::string, double>>;

nlohmann::ordered_json ToJson(const Named& named) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : named) json[name] = value;
  return json;
}

/// The epoch of a line; 0 for what is no line of ours.
size_t EpochOf(const std::string& line) {
  const auto json = nlohmann::json::parse(line, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("epoch") || !json["epoch"].is_number_unsigned()) return 0;
  return json["epoch"].get<size_t>();
}

}  // namespace

std::string ToJsonLine(const EpochRecord& record) {
  nlohmann::ordered_json json = {{"phase", record.phase},
                                 {"epoch", record.epoch},
                                 {"steps", record.steps},
                                 {"loss", record.loss},
                                 {"terms", ToJson(record.terms)},
                                 {"rate_factor", record.rate_factor},
                                 {"gradient_norm", record.gradient_norm}};
  if (record.validated) {
    json["validation"] = record.validation;
    json["measures"] = ToJson(record.measures);
    if (!record.expert_load.empty()) json["expert_load"] = record.expert_load;
  }
  json["seconds"] = record.seconds;
  json["pictures_per_second"] = record.pictures_per_second;
  return json.dump();
}

absl::StatusOr<History> History::Open(fs::path file, size_t epochs_done) {
  std::string kept;
  std::error_code error;
  if (epochs_done > 0 && fs::exists(file, error)) {
    ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
    const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    for (const std::string& line : lines) {
      const size_t epoch = EpochOf(line);
      if (epoch > 0 && epoch <= epochs_done) kept += line + "\n";
    }
  }
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(file, kept));
  return History(std::move(file));
}

void History::Epoch(const EpochRecord& record) {
  std::ofstream out(file_, std::ios::app);
  out << ToJsonLine(record) << '\n' << std::flush;
  if (out || failed_) return;
  failed_ = true;
  std::fprintf(stderr, "%s: an epoch can't be written down; the run goes on\n", file_.c_str());
}

}  // namespace orchard::training
