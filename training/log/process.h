#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace orchard::training {

struct Fact;

/// A process, told apart from every other one: numbers come again, start times don't.
struct ProcessId {
  std::string host;
  std::string boot;  ///< of the kernel and of the process numbers' namespace
  std::int64_t pid = 0;
  std::int64_t started = 0;  ///< clock ticks after the boot

  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

ProcessId ThisProcess();

/// Whether a process of this machine (`host` and `boot` are ThisProcess's) still runs.
bool IsAlive(const ProcessId& process);

/// Of machine and program: processor, cores, memory, kernel, LibTorch; version, revision (what git
/// said of the tree when it was built, if anything), and the SHA-256 of the program's file.
std::vector<Fact> MachineFacts();

/// "2026-03-01T14:05:09.120Z".
std::string Utc(absl::Time time);

}  // namespace orchard::training
