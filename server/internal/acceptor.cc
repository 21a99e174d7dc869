#include "server/internal/acceptor.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::server::internal {
namespace {

std::optional<ino_t> InodeOf(int fd) {
  struct stat found{};
  if (::fstat(fd, &found) != 0) return std::nullopt;
  return found.st_ino;
}

rlim_t DescriptorLimit() {
  rlimit limit{};
  const bool known = ::getrlimit(RLIMIT_NOFILE, &limit) == 0;
  return known ? limit.rlim_cur : std::numeric_limits<rlim_t>::max();
}

/// Descriptors are given out from the lowest number that is free: when that one is near the limit,
/// all below it are in use.
bool DescriptorsLeft(int any_open, int reserve) {
  const Descriptor lowest(::fcntl(any_open, F_DUPFD_CLOEXEC, 0));
  if (lowest.get() < 0) return false;
  return static_cast<rlim_t>(lowest.get()) + static_cast<rlim_t>(reserve) < DescriptorLimit();
}

bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Acceptor::Acceptor(std::vector<Descriptor> listeners, const Options& options, HandOver hand_over)
    : options_(options),
      hand_over_(std::move(hand_over)),
      listeners_(std::move(listeners)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t wrote = ::write(wake_.get(), &one, sizeof(one));
  thread_.join();
  listeners_.clear();
}

void Acceptor::Run() {
  std::vector<pollfd> waiting = {{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  for (const Descriptor& listener : listeners_) {
    waiting.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
  }
  while (true) {
    // Without room only the end is waited for, and a while: the kernel keeps who comes.
    const bool has_room = accepting_;
    const nfds_t count = has_room ? waiting.size() : 1;
    const int timeout = has_room ? -1 : static_cast<int>(options_.retry.count());
    if (::poll(waiting.data(), count, timeout) < 0 && errno != EINTR) return;
    if (waiting.front().revents != 0) return;
    if (!has_room) {
      SetAccepting(HasRoom(), "");
      continue;
    }
    for (size_t i = 1; i < waiting.size(); ++i) {
      if (std::exchange(waiting[i].revents, 0) == 0) continue;
      if (!HasRoom()) {
        SetAccepting(false, "too many connections, or few descriptors are left");
      } else if (!AcceptFrom(waiting[i].fd)) {
        SetAccepting(false, std::strerror(errno));
      }
    }
  }
}

bool Acceptor::HasRoom() {
  if (open_.size() >= options_.max_connections) {
    std::erase_if(open_, [](const auto& known) { return InodeOf(known.first) != known.second; });
  }
  return open_.size() < options_.max_connections && DescriptorsLeft(wake_.get(), options_.reserve);
}

bool Acceptor::AcceptFrom(int listener) {
  Descriptor socket(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  // Else: the peer has gone already, or another thing of this one connection.
  if (socket.get() < 0) return !IsShortage(errno);
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const int fd = socket.Release();
  if (const std::optional<ino_t> inode = InodeOf(fd)) open_[fd] = *inode;
  hand_over_(listener, fd);
  return true;
}

void Acceptor::SetAccepting(bool accepting, const char* why) {
  if (accepting_.exchange(accepting) == accepting || accepting) return;
  // At the limit it comes and goes.
  LogLimited(LogLevel::kWarning, "not_accepting", why,
             {{"reason", why},
              {"connections", open_.size()},
              {"max_connections", options_.max_connections},
              {"max_open_files", DescriptorLimit()},
              {"remedy", "raise the limit of open files, or --max-connections"}});
}

}  // namespace orchard::server::internal
