#pragma once

#include <filesystem>

#include <gtest/gtest.h>

#include "model/manifest.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model_folder.h"

/// \file
/// One tiny model for the whole program, written when it is first asked for.

namespace orchard::model {

/// The folder of an unbroken model with four domains: three healthy, one diseased.
inline const std::filesystem::path& SharedModel() { return testing::SharedTinyModel().version(); }

inline v1::ModelManifest SharedManifest() {
  const auto manifest = ReadManifest(SharedModel());
  EXPECT_TRUE(manifest.ok()) << manifest.status().ToString();
  return manifest.value_or(v1::ModelManifest());
}

/// A copy of SharedModel that a test may break. Files are linked, which is safe: writers replace
/// files and never change them in place.
class BrokenModel {
 public:
  BrokenModel(testing::TinyPart part, testing::TinyFault fault) {
    std::filesystem::copy(SharedModel(), dir_.path(),
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::create_hard_links);
    const absl::Status status = testing::BreakTinyModel(dir_.path(), part, fault);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  const std::filesystem::path& path() const { return dir_.path(); }

 private:
  testing::TempDir dir_;
};

}  // namespace orchard::model
