#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

/// \file
/// Golden files: text that people read, compared with what is checked in under tests/golden/.

namespace orchard::testing {

/// Fails when `text` is not the content of tests/golden/<name>. ORCHARD_UPDATE_GOLDEN=1 rewrites
/// the file, and fails as well, so that a person reads the difference.
inline void ExpectGolden(const std::string& name, const std::string& text) {
  const char* root = std::getenv("ORCHARD_SOURCE_DIR");
  ASSERT_NE(root, nullptr) << "run by ctest, or set ORCHARD_SOURCE_DIR";
  const std::filesystem::path path = std::filesystem::path(root) / "tests" / "golden" / name;
  if (std::getenv("ORCHARD_UPDATE_GOLDEN") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    FAIL() << path << " was rewritten: read the difference, then run again";
  }
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file) << path << " is missing: ORCHARD_UPDATE_GOLDEN=1 writes it";
  std::ostringstream want;
  want << file.rdbuf();
  EXPECT_EQ(text, want.str()) << "differs from " << path << "; ORCHARD_UPDATE_GOLDEN=1 rewrites it";
}

}  // namespace orchard::testing
