#include "core/inherited.h"

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

/// Whether `holds` is true in a process of its own, which may spoil what it likes.
bool InAChild(const std::function<bool()>& holds) {
  const pid_t child = fork();
  if (child == 0) _exit(holds() ? 0 : 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// What a descriptor stands for; empty: it is closed.
std::string Target(int fd) {
  std::string path(64, '\0');
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), path.data(), path.size());
  return length < 0 ? "" : path.substr(0, static_cast<size_t>(length));
}

TEST(PutInheritedRightTest, ClosedDescriptorsLeadNowhereAndOpenOnesStay) {
  EXPECT_TRUE(InAChild([] {
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    const std::string out = Target(STDOUT_FILENO);
    PutInheritedRight();
    return Target(STDIN_FILENO) == "/dev/null" && Target(STDERR_FILENO) == "/dev/null" &&
           Target(STDOUT_FILENO) == out;
  }));
}

TEST(PutInheritedRightTest, BlockedSignalsAndAnIgnoredPipeAreAsUsual) {
  EXPECT_TRUE(InAChild([] {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    signal(SIGPIPE, SIG_IGN);
    PutInheritedRight();
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    return sigismember(&blocked, SIGTERM) == 0 && signal(SIGPIPE, SIG_DFL) == SIG_DFL;
  }));
}

TEST(PutInheritedRightTest, WhatNohupIgnoresStaysIgnored) {
  EXPECT_TRUE(InAChild([] {
    signal(SIGHUP, SIG_IGN);
    PutInheritedRight();
    return signal(SIGHUP, SIG_DFL) == SIG_IGN;
  }));
}

TEST(PutInheritedRightTest, AsManyFilesMayBeOpenAsTheSystemAllows) {
  EXPECT_TRUE(InAChild([] {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = 32;
    setrlimit(RLIMIT_NOFILE, &files);
    PutInheritedRight();
    getrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur == files.rlim_max;
  }));
}

}  // namespace
}  // namespace orchard::core
