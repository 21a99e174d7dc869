#include "core/inherited.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace orchard::core {
namespace {

/// The system itself is asked: sanitizers are not there yet when this runs first.
void OpenWhatIsClosed() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (syscall(SYS_fcntl, fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one. Kept for good, and by children.
    syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
  }
}

/// Libraries open descriptors before main: gRPC 1.51 an eventfd, to see whether it can, and keeps
/// it. What stands in this section of a program runs before they do.
[[gnu::section(".preinit_array"), gnu::used]] void (*open_what_is_closed)() = OpenWhatIsClosed;

}  // namespace

void PutInheritedRight() {
  OpenWhatIsClosed();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &usual, nullptr);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

}  // namespace orchard::core
