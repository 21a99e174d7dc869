#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace orchard::training {

/// One epoch, as a run log keeps it.
struct EpochRecord {
  std::string phase;                                  ///< "heads", "epoch", "refit" …
  size_t epoch = 0;                                   ///< from 1
  size_t steps = 0;                                   ///< of the optimiser
  double loss = 0.0;                                  ///< mean over the steps
  std::vector<std::pair<std::string, double>> terms;  ///< of the loss, unweighted means
  double rate_factor = 0.0;                           ///< of the peak rates, at the last step
  double gradient_norm = 0.0;  ///< of the last step, before clipping; 0 without clipping
  bool validated = false;
  double validation = 0.0;                               ///< larger is better; where `validated`
  std::vector<std::pair<std::string, double>> measures;  ///< what else it found, by name
  std::vector<std::vector<double>> expert_load;  ///< [layers][E]: shares of picks; may be empty
  double seconds = 0.0;                          ///< that the steps took
  double pictures_per_second = 0.0;
  /// What a study says of its routers in words, by name: {"layer 3", "even"}.
  std::vector<std::pair<std::string, std::string>> verdicts = {};
};

/// What holds for a whole run, or for one process's piece of it.
struct Fact {
  std::string topic;  ///< "data", "machine", "program"
  std::string name;
  std::variant<std::int64_t, std::string> value;

  friend bool operator==(const Fact&, const Fact&) = default;
};

/// Where a run's history goes; record_epochs.h has the callbacks that write into one. An error of a
/// log never ends a run: what it can't take it keeps.
class RunLog {
 public:
  virtual ~RunLog() = default;

  /// Once, when the work folder is there and the pictures are counted: `facts` of the data.
  virtual void Begin(const std::vector<Fact>& /*facts*/) {}
  virtual void Epoch(const EpochRecord& record) = 0;
  /// A file of the work folder was written, after `epoch` epochs; 0: it belongs to none.
  virtual void File(const std::filesystem::path& /*file*/, size_t /*epoch*/) {}
};

/// The log of a run that wants none.
class NoRunLog final : public RunLog {
 public:
  void Epoch(const EpochRecord& /*record*/) override {}
};

}  // namespace orchard::training
