#include "server/lifecycle.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "core/clock.h"
#include "server/log.h"

namespace orchard::server {
namespace {

constexpr std::array<int, 2> kEnding = {SIGTERM, SIGINT};

// What the handler touches: lock-free atomics and a pipe, all that a handler may.
std::atomic<int> first_signal = 0;
std::atomic<bool> hung_up = false;
std::atomic<int> wake_fd = -1;
std::array<int, 2> wake_pipe = {-1, -1};
std::array<struct sigaction, 4> former{};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void Wake() {
  const char byte = 0;
  // Fails only when the pipe is full, and then it wakes anyhow.
  [[maybe_unused]] const ssize_t written = write(wake_fd.load(), &byte, 1);
}

void OnHangupSignal(int /*signal*/) {
  const int saved_errno = errno;
  hung_up = true;
  Wake();
  errno = saved_errno;
}

void OnSignal(int signal) {
  const int saved_errno = errno;
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, signal)) _exit(128 + signal);
  Wake();
  errno = saved_errno;
}

}  // namespace

Signals::Signals() {
  if (pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    std::perror("can't make a pipe for signals");
    std::abort();
  }
  first_signal = 0;
  hung_up = false;
  wake_fd = wake_pipe[1];
  struct sigaction action{};
  action.sa_handler = &OnSignal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < kEnding.size(); ++i) sigaction(kEnding[i], &action, &former[i]);
  action.sa_handler = &OnHangupSignal;
  sigaction(SIGHUP, &action, &former[2]);
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &former[3]);
}

Signals::~Signals() {
  for (size_t i = 0; i < kEnding.size(); ++i) sigaction(kEnding[i], &former[i], nullptr);
  sigaction(SIGHUP, &former[2], nullptr);
  sigaction(SIGPIPE, &former[3], nullptr);
  wake_fd = -1;
  for (int& end : wake_pipe) close(std::exchange(end, -1));
}

void Signals::OnHangup(std::function<void()> hangup) { on_hangup_ = std::move(hangup); }

int Signals::Wait() {
  while (true) {
    if (const std::optional<int> signal = WaitFor(std::chrono::hours(1))) return *signal;
  }
}

std::optional<int> Signals::WaitFor(std::chrono::milliseconds timeout) {
  const auto deadline = core::Clock::now() + timeout;
  while (!Received()) {
    if (on_hangup_ && hung_up.exchange(false)) on_hangup_();
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - core::Clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd waiting{.fd = wake_pipe[0], .events = POLLIN, .revents = 0};
    poll(&waiting, 1, static_cast<int>(left));  // EINTR: the loop looks again.
    // What the bytes stand for is in the atomics, which are looked at next.
    std::array<char, 64> bytes;
    while (read(wake_pipe[0], bytes.data(), bytes.size()) > 0) {
    }
  }
  return first_signal.load();
}

bool Signals::Received() const { return first_signal.load() != 0; }

int RunDrain(int signal, const Drain& drain) {
  const auto in_flight = [&drain] { return drain.in_flight ? drain.in_flight() : 0; };
  const auto start = core::Clock::now();
  const auto elapsed_ms = [start] { return core::Milliseconds(core::Clock::now() - start); };
  Log(LogLevel::kInfo, "drain_start",
      {{"signal", signal},
       {"in_flight", in_flight()},
       {"delay_ms", drain.delay.count()},
       {"timeout_ms", drain.timeout.count()}});
  if (drain.set_not_ready) drain.set_not_ready();
  std::this_thread::sleep_for(drain.delay);
  Log(LogLevel::kInfo, "drain_shutdown", {{"in_flight", in_flight()}, {"ms", elapsed_ms()}});
  const bool complete = !drain.shutdown || drain.shutdown(core::Clock::now() + drain.timeout);
  if (!complete) {
    Log(LogLevel::kWarning, "drain_cut",
        {{"timeout_ms", drain.timeout.count()},
         {"message", "calls were cancelled; raise --drain-timeout"}});
  }
  if (drain.flush) drain.flush();
  Log(LogLevel::kInfo, "drain_done",
      {{"in_flight", in_flight()}, {"complete", complete}, {"ms", elapsed_ms()}});
  return EXIT_SUCCESS;
}

}  // namespace orchard::server
