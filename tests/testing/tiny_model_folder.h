#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace orchard::testing {

/// A folder of versions, as --model takes it, that holds a tiny model as version 1. Throws when it
/// can't be written.
class TinyModelFolder {
 public:
  explicit TinyModelFolder(const TinyModelOptions& options = {}) {
    auto manifest = WriteTinyModel(version_, options);
    if (!manifest.ok()) throw std::runtime_error(manifest.status().ToString());
    manifest_ = *std::move(manifest);
  }

  const std::filesystem::path& path() const { return dir_.path(); }
  const std::filesystem::path& version() const { return version_; }
  const v1::ModelManifest& manifest() const { return manifest_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return dir_ / name; }

  /// In the manifest's order.
  std::vector<std::string> domains() const {
    std::vector<std::string> domains;
    for (const v1::ExpertPart& expert : manifest_.experts()) domains.push_back(expert.domain());
    return domains;
  }

 private:
  const TempDir dir_;
  const std::filesystem::path version_ = dir_ / "1";
  v1::ModelManifest manifest_;
};

/// One for the whole program, written when it is first asked for. Nobody may change its files.
inline const TinyModelFolder& SharedTinyModel() {
  static const TinyModelFolder folder;
  return folder;
}

}  // namespace orchard::testing
