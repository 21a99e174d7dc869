#pragma once

#include <cstdlib>
#include <iostream>

#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

/// \file
/// What the benchmarks of model/ load: nine domains, heads of the default model's size.

namespace orchard::model {

inline const std::filesystem::path& FullModel() {
  static const testing::TempDir dir;
  static const auto manifest =
      testing::WriteTinyModel(dir.path(), {.domains = 9, .full_size = true});
  if (!manifest.ok()) {
    std::cerr << manifest.status() << "\n";
    std::exit(1);
  }
  return dir.path();
}

/// The value, or the end of the benchmark with the reason.
template <typename T>
T Need(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::cerr << value.status() << "\n";
    std::exit(1);
  }
  return *std::move(value);
}

}  // namespace orchard::model
