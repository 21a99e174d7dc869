#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "training/log/records.h"

namespace orchard::training {

/// Where records are kept: a file, or a server. Not thread-safe; several processes may use one
/// place at once.
class RunStore {
 public:
  virtual ~RunStore() = default;

  /// For messages: the file, or the URI without its password.
  virtual std::string place() const = 0;

  /// Writes the records of the run `id`; one whose key is there replaces it. Errors: UNAVAILABLE
  /// naming the place; what was asked for may then be there in part, and is asked for again.
  virtual absl::Status Put(const std::string& id, std::span<const RunRecord> records) = 0;

  enum class Detail {
    kSummary,  ///< of epochs without terms, measures, loads and verdicts; no files
    kAll,
  };

  /// Every run, or with an `id` that one (none where it isn't there); newest first. Errors:
  /// UNAVAILABLE or NOT_FOUND naming the place.
  virtual absl::StatusOr<std::vector<RunHistory>> Read(const std::string& id, Detail detail) = 0;

  /// Forgets a run.
  virtual absl::Status Remove(const std::string& id) = 0;
};

/// The store that `where` names: "mongodb://…", "mongodb+srv://…", or a file. Nothing is opened
/// before it is asked for something. Errors: INVALID_ARGUMENT for a URI that is none, or one of
/// MongoDB where the program was built without.
absl::StatusOr<std::unique_ptr<RunStore>> MakeRunStore(const std::string& where);

/// The file that holds the runs of the folders beside `work`: runs.sqlite.
std::filesystem::path RunLogBeside(const std::filesystem::path& work);

/// All of `from`'s runs to `to`. Returns how many. Errors: those of the two.
absl::StatusOr<size_t> CopyRuns(RunStore& from, RunStore& to);

}  // namespace orchard::training
