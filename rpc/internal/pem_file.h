#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace orchard::rpc::internal {

/// A file in memory that has a path, so that gRPC, which knows files only, can watch what we have
/// checked: what lies on disk may be wrong at any moment, and gRPC would take it. Nothing secret
/// gets onto a disk. The path stays; the contents change in one step.
class PemFile {
 public:
  PemFile() = default;
  ~PemFile();
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;

  /// Replaces what is read from path(). Errors: UNAVAILABLE with the system's reason.
  absl::Status Write(std::string_view contents);

  /// Below /proc/self/fd; empty before the first Write().
  const std::string& path() const { return path_; }

 private:
  int fd_ = -1;
  std::string path_;
};

}  // namespace orchard::rpc::internal
