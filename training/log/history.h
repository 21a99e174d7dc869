#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "training/log/run_log.h"

namespace orchard::training {

/// A run's history as a file of its work folder: one JSON object a line, an epoch a line.
///
///   {"phase": "epoch", "epoch": 3, "steps": 24, "loss": 1.2, "terms": {"cross_entropy": 1.19, …},
///    "rate_factor": 0.9, "gradient_norm": 0.8, "validation": 0.71, "measures": {"loss": 0.9, …},
///    "expert_load": [[0.14, …], …], "seconds": 1.4, "pictures_per_second": 8700.0}
///
/// `validation`, `measures` and `expert_load` (by layer and expert, where the network has such)
/// stand only where the epoch was validated.
class History final : public RunLog {
 public:
  /// Begins the file, or goes on with it: lines of epochs after `epochs_done` are taken out, as the
  /// run will write them again, and so is a last line that a kill cut short. Errors name the file.
  static absl::StatusOr<History> Open(std::filesystem::path file, size_t epochs_done);

  /// Says once on stderr when a line can't be written; the run goes on.
  void Epoch(const EpochRecord& record) override;

 private:
  explicit History(std::filesystem::path file) : file_(std::move(file)) {}

  std::filesystem::path file_;
  bool failed_ = false;
};

/// That line, without its end.
std::string ToJsonLine(const EpochRecord& record);

}  // namespace orchard::training
