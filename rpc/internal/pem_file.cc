#include "rpc/internal/pem_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace orchard::rpc::internal {
namespace {

absl::Status Fault(const char* what) {
  return absl::UnavailableError(absl::StrCat("can't ", what, ": ", std::strerror(errno)));
}

}  // namespace

PemFile::~PemFile() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status PemFile::Write(std::string_view contents) {
  const int fresh = ::memfd_create("pem", MFD_CLOEXEC);
  if (fresh < 0) return Fault("make a file in memory for certificates");
  for (size_t from = 0; from < contents.size();) {
    const ssize_t wrote = ::write(fresh, contents.data() + from, contents.size() - from);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const absl::Status fault = Fault("write certificates to memory");
      ::close(fresh);
      return fault;
    }
    from += static_cast<size_t>(wrote);
  }
  if (fd_ < 0) {
    fd_ = fresh;
    path_ = absl::StrCat("/proc/self/fd/", fd_);
    return absl::OkStatus();
  }
  // The old number, and so the path, names the new file from here on, in one step.
  const int moved = ::dup3(fresh, fd_, O_CLOEXEC);
  const absl::Status status = moved < 0 ? Fault("replace certificates") : absl::OkStatus();
  ::close(fresh);
  return status;
}

}  // namespace orchard::rpc::internal
