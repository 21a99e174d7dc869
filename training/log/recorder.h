#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "training/log/records.h"
#include "training/log/run_store.h"

namespace orchard::training {

/// Writes one process's piece of a run into a store as it goes on. What the store doesn't take is
/// kept in a file of the work folder (or in memory, where that can't be written either), said once
/// on stderr, and sent with the next epoch that finds the store again, at the end, or by the next
/// --resume.
///
/// A run is known by the id in the work folder's run_id.txt: a resumed run goes on under its own.
/// Not thread-safe.
class Recorder final : public RunLog {
 public:
  struct Options {
    std::filesystem::path work;  ///< of the run; is there when Begin is called
    bool resume = false;         ///< go on as the run that the work folder names
    RunInfo run;                 ///< without id and facts
    std::vector<Fact> facts;     ///< of the piece: machine, program
    std::function<absl::Time()> now = &absl::Now;
    /// Not asked again so soon after it took nothing: a server that is gone makes every call wait.
    absl::Duration retry_after = absl::Seconds(30);
  };

  Recorder(std::unique_ptr<RunStore> store, Options options);

  void Begin(const std::vector<Fact>& facts) override;
  void Epoch(const EpochRecord& record) override;
  void File(const std::filesystem::path& file, size_t epoch) override;

  /// What `fit` returned, and whether nothing is left to train. Writes nothing where nothing began.
  void End(const absl::Status& status, bool finished);

  const std::string& id() const { return options_.run.id; }  ///< empty before Begin

 private:
  void Identify();
  void Write(std::vector<RunRecord> records);
  absl::Status Send();
  void SayUnreadable(const absl::Status& why);
  void Keep();

  std::unique_ptr<RunStore> store_;
  Options options_;
  std::filesystem::path kept_;  // a SqliteStore's file of what the store did not take
  Piece piece_;
  std::vector<RunRecord> waiting_;  // for the store, in order; behind what is in `kept_`
  bool failed_ = false;             // since the store last took something
  bool said_ = false;
  bool unreadable_ = false;  // what is in `kept_`; said
  absl::Time next_try_ = absl::InfinitePast();
};

}  // namespace orchard::training
