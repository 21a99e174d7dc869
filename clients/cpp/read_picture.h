#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <istream>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace orchard::client {

/// How large a picture may be, asked for once, and not before a picture is large enough to matter:
/// most commands never ask. Thread-safe.
class SizeLimit {
 public:
  /// No message holds more (protobuf's 2 GiB, less what stands beside the picture).
  static constexpr std::uint64_t kMessageBytes = (std::uint64_t{1} << 31) - (64 << 10);

  /// Pictures up to this size are never asked about.
  static constexpr std::uint64_t kSmallBytes = 4 << 20;

  /// `ask` gives a server's limit in bytes, or nothing where it can't tell.
  explicit SizeLimit(std::function<std::optional<std::uint64_t>()> ask);

  /// The lower one of a server's limit and kMessageBytes.
  std::uint64_t bytes();

  /// INVALID_ARGUMENT of a picture that is over the limit; `size` is nothing where only that is
  /// known.
  absl::Status TooLarge(const std::string& name, std::optional<std::uint64_t> size);

 private:
  const std::function<std::optional<std::uint64_t>()> ask_;
  std::once_flag asked_;
  std::optional<std::uint64_t> server_;  // written once, under asked_
};

/// All of a file, a pipe or a device, if it is within `limit`: of a file that is told before it is
/// read, of the others as soon as it shows.
///
/// Errors name it. NOT_FOUND; INVALID_ARGUMENT: a folder, or over the limit; UNAVAILABLE with the
/// system's reason, when a file changes while it is read (somebody is still writing it), or when a
/// pipe has not come to its end within `patience`, however often something comes.
absl::StatusOr<std::string> ReadPictureFile(const std::string& name, SizeLimit& limit,
                                            std::chrono::milliseconds patience);

/// All of `in`, as "-". Waits for its end without a limit of time, as other commands do: at the
/// other end may be a person. Errors: INVALID_ARGUMENT over the limit.
absl::StatusOr<std::string> ReadPictureStream(std::istream& in, SizeLimit& limit);

}  // namespace orchard::client
