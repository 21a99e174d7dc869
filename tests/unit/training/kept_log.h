#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "training/log/run_log.h"

namespace orchard::training {

/// A run log that keeps what it is told, for tests to look at.
class KeptLog final : public RunLog {
 public:
  void Begin(const std::vector<Fact>& facts) override { begun.push_back(facts); }
  void Epoch(const EpochRecord& record) override { epochs.push_back(record); }
  void File(const std::filesystem::path& file, size_t epoch) override {
    files.emplace_back(file.filename().string(), epoch);
  }

  std::vector<std::vector<Fact>> begun;  ///< facts of each Begin
  std::vector<EpochRecord> epochs;
  std::vector<std::pair<std::string, size_t>> files;  ///< name, and after which epoch
};

}  // namespace orchard::training
