#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

/// \file
/// A program under test as a child process: its lines, its signals, its exit code.

namespace orchard::testing {

/// The folder of our binaries; tests run by ctest have it in the environment.
inline std::string BinaryPath(const std::string& name) {
  const char* folder = std::getenv("ORCHARD_BIN_DIR");
  if (folder == nullptr) throw std::runtime_error("run by ctest, or set ORCHARD_BIN_DIR");
  return std::string(folder) + "/" + name;
}

/// One running child. Killed (SIGKILL) and reaped when it is destroyed before it ended.
class ChildProcess {
 public:
  static constexpr std::chrono::seconds kPatience{60};  ///< far beyond what a sound child needs

  /// Starts `command` (path first). `environment` has NAME=VALUE entries, added to our own.
  explicit ChildProcess(const std::vector<std::string>& command,
                        const std::vector<std::string>& environment = {}) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    int out[2];
    int err[2];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    std::vector<char*> arguments = Pointers(command);
    std::vector<char*> variables;
    for (char** entry = environ; *entry != nullptr; ++entry) variables.push_back(*entry);
    for (const std::string& entry : environment) {
      variables.push_back(const_cast<char*>(entry.c_str()));
    }
    variables.push_back(nullptr);
    const int error = posix_spawn(&pid_, command.front().c_str(), &actions, nullptr,
                                  arguments.data(), variables.data());
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
    if (error != 0) throw std::runtime_error("can't start " + command.front());
  }

  ~ChildProcess() {
    if (!exit_code_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
    ::close(err_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// The name under which the system lists it; the kernel keeps 15 characters.
  std::string ListedName() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/comm");
    std::string name;
    std::getline(file, name);
    return name;
  }

  /// What a descriptor of it leads to, as the system lists it; empty: it is closed.
  std::string Descriptor(int fd) const {
    std::string target(256, '\0');
    const std::string link = "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
    return length < 0 ? "" : target.substr(0, static_cast<size_t>(length));
  }

  void Signal(int signal) const { ::kill(pid_, signal); }

  /// The first line (of those not yet read) of stdout or stderr that contains `text`; empty when
  /// the child closed its end or patience ended.
  std::string ReadOutUntil(const std::string& text) { return ReadUntil(out_, out_text_, text); }
  std::string ReadErrUntil(const std::string& text) { return ReadUntil(err_, err_text_, text); }

  /// Everything not yet read, until the child closes its end. For a child that says little on the
  /// other stream, or it would wait for us there.
  std::string RestOfOut() { return Rest(out_, out_text_); }
  std::string RestOfErr() { return Rest(err_, err_text_); }

  /// Waits for the end: the exit code, or 128 + signal; nothing when patience ended.
  std::optional<int> Wait() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!exit_code_ && std::chrono::steady_clock::now() < deadline) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        killed_by_signal_ = WIFSIGNALED(status);
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    }
    return exit_code_;
  }

  /// After Wait(): whether a signal ended it, and not an exit().
  bool killed_by_signal() const { return killed_by_signal_; }

 private:
  static std::vector<char*> Pointers(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
  }

  static std::string Rest(int pipe, std::string& pending) {
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(pipe, buffer, sizeof(buffer))) > 0;) {
      pending.append(buffer, static_cast<size_t>(got));
    }
    return std::exchange(pending, {});
  }

  static std::string ReadUntil(int pipe, std::string& pending, const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      for (size_t end = 0; (end = pending.find('\n')) != std::string::npos;) {
        const std::string line = pending.substr(0, end);
        pending.erase(0, end + 1);
        if (line.find(text) != std::string::npos) return line;
      }
      pollfd waiting{.fd = pipe, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 1000) <= 0) continue;
      char buffer[4096];
      const ssize_t got = ::read(pipe, buffer, sizeof(buffer));
      if (got <= 0) return "";
      pending.append(buffer, static_cast<size_t>(got));
    }
    return "";
  }

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string out_text_;
  std::string err_text_;
  std::optional<int> exit_code_;
  bool killed_by_signal_ = false;
};

/// The port in "name=HOST:PORT" of a ready line; 0 when it is not there.
inline std::uint16_t PortIn(const std::string& ready_line, const std::string& name) {
  const size_t begin = ready_line.find(" " + name + "=");
  if (begin == std::string::npos) return 0;
  const std::string rest = ready_line.substr(begin + name.size() + 2);
  const std::string address = rest.substr(0, rest.find(' '));
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

}  // namespace orchard::testing
