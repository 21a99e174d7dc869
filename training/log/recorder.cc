#include "training/log/recorder.h"

#include <cstdio>
#include <random>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/file_pieces.h"
#include "core/printable.h"
#include "core/status.h"
#include "core/text.h"
#include "training/log/sqlite_store.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

void Say(const std::string& what) {
  std::fprintf(stderr, "run log %s\n", core::Printable(what).c_str());
}

std::string NewId(absl::Time now) {
  return absl::StrFormat("%s-%04x", absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone()),
                         std::random_device()() & 0xFFFFU);
}

void RemoveDatabase(const fs::path& file) {
  std::error_code ignored;
  for (const char* ending : {"", "-wal", "-shm"}) fs::remove(file.string() + ending, ignored);
}

}  // namespace

Recorder::Recorder(std::unique_ptr<RunStore> store, Options options)
    : store_(std::move(store)), options_(std::move(options)), kept_(options_.work / kUnsentLog) {}

/// The run's id and the piece's number, from the work folder where it goes on.
void Recorder::Identify() {
  if (options_.resume) {
    if (const auto before = core::ReadFile(options_.work / kRunId); before.ok()) {
      std::istringstream(*before) >> options_.run.id >> piece_.number;
    }
  }
  if (options_.run.id.empty()) options_.run.id = NewId(options_.now());
  ++piece_.number;
  const absl::Status written = core::WriteFile(
      options_.work / kRunId, absl::StrCat(options_.run.id, " ", piece_.number, "\n"));
  if (!written.ok()) Say(absl::StrCat(store_->place(), ": ", written.message()));
}

void Recorder::Begin(const std::vector<Fact>& facts) {
  if (!options_.run.id.empty()) return;
  Identify();
  options_.run.facts = facts;
  piece_.started = piece_.seen = Utc(options_.now());
  piece_.process = ThisProcess();
  piece_.facts = options_.facts;
  Write({options_.run, piece_});
}

void Recorder::Epoch(const EpochRecord& record) {
  Begin({});
  piece_.seen = Utc(options_.now());
  Write({piece_, EpochEntry{.epoch = record, .piece = piece_.number, .at = piece_.seen}});
}

void Recorder::File(const fs::path& file, size_t epoch) {
  Begin({});
  const auto hash = core::Sha256OfFile(file);
  if (!hash.ok()) return Say(absl::StrCat(store_->place(), ": ", hash.status().message()));
  std::error_code error;
  Write({FileEntry{.name = file.lexically_proximate(options_.work).string(),
                   .epoch = epoch,
                   .at = Utc(options_.now()),
                   .sha256 = *hash,
                   .bytes = static_cast<std::int64_t>(fs::file_size(file, error))}});
}

void Recorder::End(const absl::Status& status, bool finished) {
  if (options_.run.id.empty()) return;
  piece_.ended = piece_.seen = Utc(options_.now());
  piece_.outcome = !status.ok() ? "failed" : finished ? "finished" : "stopped";
  piece_.message = std::string(status.message());
  next_try_ = absl::InfinitePast();  // The last chance.
  Write({piece_});
  if (!failed_) return;
  Say(absl::StrCat(store_->place(), ": the run's end did not get there; ",
                   waiting_.empty()
                       ? kept_.string() + " keeps it for --resume or `orchard-train runs import`"
                       : "nothing could keep it"));
}

void Recorder::Write(std::vector<RunRecord> records) {
  for (RunRecord& record : records) waiting_.push_back(std::move(record));
  if (failed_ && options_.now() < next_try_) return Keep();
  const absl::Status sent = Send();
  if (!sent.ok()) {
    next_try_ = options_.now() + options_.retry_after;
    failed_ = true;
    Keep();
    if (std::exchange(said_, true)) return;
    return Say(absl::StrCat(sent.message(), "; the run goes on, and its records wait in ",
                            waiting_.empty() ? kept_.string() : "memory"));
  }
  if (std::exchange(failed_, false)) {
    Say(absl::StrCat(store_->place(), ": takes records again",
                     unreadable_ ? "" : "; none is missing"));
  }
  said_ = false;
}

/// What is kept, then what waits.
absl::Status Recorder::Send() {
  std::error_code error;
  bool readable = true;
  if (fs::exists(kept_, error)) {
    const auto runs = SqliteStore(kept_).Read(/*id=*/"", RunStore::Detail::kAll);
    readable = runs.ok();  // Else it stays where it is, and holds nothing up.
    if (!readable) SayUnreadable(runs.status());
    for (size_t i = 0; readable && i < runs->size(); ++i) {
      ORCHARD_RETURN_IF_ERROR(store_->Put((*runs)[i].run.id, RecordsOf((*runs)[i])));
    }
  }
  ORCHARD_RETURN_IF_ERROR(store_->Put(options_.run.id, waiting_));
  waiting_.clear();
  unreadable_ = !readable;
  if (readable) RemoveDatabase(kept_);
  return absl::OkStatus();
}

/// The status names the file.
void Recorder::SayUnreadable(const absl::Status& why) {
  if (std::exchange(unreadable_, true)) return;
  Say(absl::StrCat(why.message(), "; records that wait there have not come to ", store_->place()));
}

/// With the run itself, which the store may have taken long ago: without it what is kept would
/// belong to nothing.
void Recorder::Keep() {
  std::vector<RunRecord> records = {options_.run};
  records.insert(records.end(), waiting_.begin(), waiting_.end());
  if (SqliteStore(kept_).Put(options_.run.id, records).ok()) waiting_.clear();
}

}  // namespace orchard::training
