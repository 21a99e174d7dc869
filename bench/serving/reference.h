#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace orchard::bench {

/// The loop that a service is compared with when it is written by hand in an afternoon: OpenCV
/// decodes the whole picture and shrinks it, LibTorch's optimised graph of the encoder runs in
/// FP32. No gates, no experts, no limits. Thread-safe.
class Reference {
 public:
  /// The encoder of a version folder.
  static absl::StatusOr<Reference> Load(const std::filesystem::path& version_dir);
  ~Reference();
  Reference(Reference&&) noexcept;

  /// One encoded picture from its bytes to features, which are dropped. Errors: INVALID_ARGUMENT
  /// for bytes that are no picture.
  absl::Status Run(const std::string& bytes) const;

 private:
  struct Impl;
  explicit Reference(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::bench
