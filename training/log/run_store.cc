#include "training/log/run_store.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "training/log/mongo_store.h"
#include "training/log/sqlite_store.h"

namespace orchard::training {

absl::StatusOr<std::unique_ptr<RunStore>> MakeRunStore(const std::string& where) {
  if (absl::StartsWith(where, "mongodb://") || absl::StartsWith(where, "mongodb+srv://")) {
    return MakeMongoStore(where);
  }
  const size_t scheme = where.find("://");
  if (scheme != std::string::npos) {  // What follows may hold a password.
    return absl::InvalidArgumentError(
        absl::StrCat("run log ", where.substr(0, scheme),
                     "://…: a file, mongodb://HOST:PORT/DATABASE or none is wanted"));
  }
  return std::make_unique<SqliteStore>(where);
}

std::filesystem::path RunLogBeside(const std::filesystem::path& work) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(work, error).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();  // "runs/first/"
  return folder.parent_path() / "runs.sqlite";
}

absl::StatusOr<size_t> CopyRuns(RunStore& from, RunStore& to) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<RunHistory> runs,
                           from.Read(/*id=*/"", RunStore::Detail::kAll));
  for (const RunHistory& run : runs) {
    ORCHARD_RETURN_IF_ERROR(to.Put(run.run.id, RecordsOf(run)));
  }
  return runs.size();
}

}  // namespace orchard::training
