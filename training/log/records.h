#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include <nlohmann/json_fwd.hpp>

#include "training/log/process.h"
#include "training/log/run_log.h"

/// \file
/// What is known of a run, as values. Stores keep them (run_store.h), commands show them. Moments
/// are texts in UTC, "2026-03-01T14:05:09.120Z", which sort as they follow each other.

namespace orchard::training {

/// What a run is.
struct RunInfo {
  std::string id;      ///< "20260301-140509-3fa2": begun when, and four random digits
  std::string name;    ///< of its recipe
  std::string study;   ///< "masked_moe"
  std::string recipe;  ///< text proto, with overrides applied
  std::string work;    ///< its work folder, absolute
  std::vector<Fact> facts;
};

/// What one process did of a run: the whole of it, or from a resume to the next stop.
struct Piece {
  size_t number = 0;  ///< from 1
  std::string started;
  std::string seen;     ///< when it last wrote
  std::string ended;    ///< empty: it runs, or was killed
  std::string outcome;  ///< "finished", "stopped" (there is more to do), "failed"; empty as `ended`
  std::string message;  ///< why it failed
  ProcessId process;
  std::vector<Fact> facts;  ///< of machine and program
};

struct EpochEntry {
  EpochRecord epoch;
  size_t piece = 0;  ///< that it was trained in
  std::string at;    ///< when it ended
};

struct FileEntry {
  std::string name;  ///< in the work folder
  size_t epoch = 0;  ///< after which it was written; 0: belongs to none
  std::string at;
  std::string sha256;  ///< 64 hex digits
  std::int64_t bytes = 0;
};

/// Each has a key within its run: none, `number`, (`phase`, `epoch`), (`name`, `epoch`).
using RunRecord = std::variant<RunInfo, Piece, EpochEntry, FileEntry>;

/// A run with all that is known of it.
struct RunHistory {
  RunInfo run;
  std::vector<Piece> pieces;       ///< by number
  std::vector<EpochEntry> epochs;  ///< as they ended
  std::vector<FileEntry> files;    ///< as they were written
};

/// Every record of a history.
std::vector<RunRecord> RecordsOf(const RunHistory& history);

/// "finished", "stopped", "failed", "running", "killed" (its process is gone without a word), or
/// "elsewhere": not ended, on a machine that `self` can't look at. `alive` says whether a process
/// of this machine runs.
std::string StateOf(const RunHistory& history, const ProcessId& self,
                    bool (*alive)(const ProcessId&) = &IsAlive);

/// The epoch with the best validation, the first where several are; null without one.
const EpochEntry* BestEpoch(const RunHistory& history);

/// The run that `word` means: an id, the beginning of one, a name that one run alone has, or
/// "last". `histories`: newest first. Errors: NOT_FOUND; INVALID_ARGUMENT naming the ids it could
/// mean.
absl::StatusOr<const RunHistory*> FindRun(const std::vector<RunHistory>& histories,
                                          const std::string& word);

// As JSON objects, and back. What isn't finite is null, and NaN when it is read. FromJson's errors:
// INVALID_ARGUMENT with what the reader says.
nlohmann::ordered_json ToJson(const RunInfo& run);
nlohmann::ordered_json ToJson(const Piece& piece);
nlohmann::ordered_json ToJson(const EpochEntry& entry);
nlohmann::ordered_json ToJson(const FileEntry& file);
nlohmann::ordered_json ToJson(const RunHistory& history);

absl::StatusOr<RunInfo> RunInfoFromJson(const nlohmann::ordered_json& json);
absl::StatusOr<Piece> PieceFromJson(const nlohmann::ordered_json& json);
absl::StatusOr<EpochEntry> EpochFromJson(const nlohmann::ordered_json& json);
absl::StatusOr<FileEntry> FileFromJson(const nlohmann::ordered_json& json);

}  // namespace orchard::training
