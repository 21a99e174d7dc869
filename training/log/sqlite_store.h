#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "training/log/run_store.h"

struct sqlite3;

namespace orchard::training {

/// Runs in a file of SQLite, in write-ahead mode: a reader never waits, and two runs that write at
/// once wait for each other, some seconds at most. Where nothing may be written beside the file, as
/// write-ahead mode wants, it is read as it stands. The tables, schema 1 (PRAGMA user_version),
/// stand in sqlite_schema.h and docs/runs.md.
class SqliteStore final : public RunStore {
 public:
  explicit SqliteStore(std::filesystem::path file);
  ~SqliteStore() override;

  std::string place() const override { return file_.string(); }

  /// Makes the file where there is none, not its folder. Writes all of the records or none. Errors
  /// also: FAILED_PRECONDITION for a file of something else, or of a newer schema.
  absl::Status Put(const std::string& id, std::span<const RunRecord> records) override;
  absl::StatusOr<std::vector<RunHistory>> Read(const std::string& id, Detail detail) override;
  absl::Status Remove(const std::string& id) override;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };

  using Database = std::unique_ptr<sqlite3, Close>;

  /// `where`: a file, or an URI of one.
  absl::StatusOr<Database> Connect(const std::string& where, int flags) const;
  /// To a file that nobody writes, without a look at what write-ahead mode keeps beside it. Errors:
  /// UNAVAILABLE where it keeps something.
  absl::StatusOr<Database> ConnectAsItStands() const;
  /// The file as it is now; one that was deleted and made anew is opened anew.
  absl::Status Open(bool create);
  /// BEGIN, `work`, COMMIT; everything undone and the file closed when something fails.
  template <typename Work>
  absl::Status Transaction(const Work& work);

  std::filesystem::path file_;
  Database database_;
};

}  // namespace orchard::training
