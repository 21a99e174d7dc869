#include "clients/cpp/read_picture.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/status.h"
#include "core/text.h"
#include "core/units.h"

namespace orchard::client {
namespace {

constexpr size_t kChunkBytes = 1 << 16;

absl::Status CantRead(const std::string& name, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    return absl::NotFoundError(absl::StrCat(name, ": no such file"));
  }
  return absl::UnavailableError(absl::StrCat(name, ": can't be read: ", std::strerror(error)));
}

bool IsSameMoment(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/// How long a pipe or a device may take for all that it has to say.
struct Patience {
  std::chrono::milliseconds whole;
  core::Clock::time_point deadline = core::Clock::now() + whole;
};

/// Waits until a pipe or a device has something to read, or its end; `got`, bytes, came before.
absl::Status AwaitData(const std::string& name, int file, size_t got, const Patience& patience) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      std::max(core::Clock::duration::zero(), patience.deadline - core::Clock::now()));
  if (left.count() > 0) {
    pollfd waiting{.fd = file, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return CantRead(name, errno);
    if (ready < 0) return absl::OkStatus();  // A signal: there is nothing yet, and we come again.
  }
  const std::string whole = core::FormatDuration(patience.whole);
  return absl::UnavailableError(got == 0
                                    ? absl::StrCat(name, ": nobody has written to it for ", whole)
                                    : absl::StrCat(name, ": has not come to its end within ", whole,
                                                   ", after ", core::HumanBytes(got)));
}

/// Everything up to the end. One byte over the limit is enough to know.
absl::StatusOr<std::string> ReadToEnd(const std::string& name, int file, SizeLimit& limit,
                                      std::optional<Patience> patience) {
  std::string bytes;
  for (;;) {
    if (bytes.size() > SizeLimit::kSmallBytes && bytes.size() > limit.bytes()) {
      return limit.TooLarge(name, std::nullopt);
    }
    if (patience) ORCHARD_RETURN_IF_ERROR(AwaitData(name, file, bytes.size(), *patience));
    const size_t before = bytes.size();
    bytes.resize(before + kChunkBytes);
    const ssize_t got = ::read(file, bytes.data() + before, kChunkBytes);
    const int error = errno;
    bytes.resize(before + static_cast<size_t>(std::max<ssize_t>(0, got)));
    if (got == 0) return bytes;
    if (got < 0 && error != EINTR && error != EAGAIN) return CantRead(name, error);
  }
}

absl::StatusOr<std::string> ReadRegular(const std::string& name, int file,
                                        const struct stat& before, SizeLimit& limit) {
  const auto size = static_cast<std::uint64_t>(before.st_size);
  if (size > SizeLimit::kSmallBytes && size > limit.bytes()) return limit.TooLarge(name, size);
  ORCHARD_ASSIGN_OR_RETURN(std::string bytes, ReadToEnd(name, file, limit, std::nullopt));
  struct stat after{};
  if (::fstat(file, &after) != 0) return CantRead(name, errno);
  // A file of no size may be one of /proc, which are made while they are read.
  const bool cut = size != 0 && bytes.size() != size;
  if (cut || after.st_size != before.st_size || !IsSameMoment(after.st_mtim, before.st_mtim)) {
    return absl::UnavailableError(
        absl::StrCat(name, ": changed while it was read; try again when it is written"));
  }
  return bytes;
}

}  // namespace

SizeLimit::SizeLimit(std::function<std::optional<std::uint64_t>()> ask) : ask_(std::move(ask)) {}

std::uint64_t SizeLimit::bytes() {
  std::call_once(asked_, [this] { server_ = ask_(); });
  return std::min(server_.value_or(kMessageBytes), kMessageBytes);
}

absl::Status SizeLimit::TooLarge(const std::string& name, std::optional<std::uint64_t> size) {
  const std::uint64_t most = bytes();
  const std::string larger =
      size ? absl::StrCat(core::HumanBytes(*size), " is over") : std::string("is over");
  const std::string whose =
      most < kMessageBytes ? " that the server allows" : " that one message can hold";
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": ", larger, " the ", core::HumanBytes(most), whose, "; not sent"));
}

absl::StatusOr<std::string> ReadPictureFile(const std::string& name, SizeLimit& limit,
                                            std::chrono::milliseconds patience) {
  // Not blocking: to open a pipe would wait for somebody to write to it, for ever.
  const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return CantRead(name, errno);
  const absl::Cleanup close = [file] { ::close(file); };
  struct stat status{};
  if (::fstat(file, &status) != 0) return CantRead(name, errno);
  if (S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": is a folder, not a picture"));
  }
  if (S_ISREG(status.st_mode)) return ReadRegular(name, file, status, limit);
  return ReadToEnd(name, file, limit, Patience{.whole = patience});
}

absl::StatusOr<std::string> ReadPictureStream(std::istream& in, SizeLimit& limit) {
  std::string bytes;
  while (in) {
    const size_t before = bytes.size();
    bytes.resize(before + kChunkBytes);
    in.read(bytes.data() + before, kChunkBytes);
    bytes.resize(before + static_cast<size_t>(in.gcount()));
    if (bytes.size() > SizeLimit::kSmallBytes && bytes.size() > limit.bytes()) {
      return limit.TooLarge("-", std::nullopt);
    }
  }
  return bytes;
}

}  // namespace orchard::client
