#include "training/log/process.h"

#include <array>
#include <filesystem>
#include <sstream>
#include <string>
#include <sys/utsname.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <torch/version.h>

#include "core/file_pieces.h"
#include "core/text.h"
#include "core/version.h"
#include "training/log/revision.h"
#include "training/log/run_log.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// Empty where it can't be read.
std::string Contents(const std::string& file) { return core::ReadFile(file).value_or(""); }

/// Field 22 of /proc/PID/stat (proc(5)), counted behind the name, which may hold anything; and
/// whether it is a process that still runs (no zombie). 0: there is no such process.
std::int64_t StartOf(std::int64_t pid) {
  const std::string stat = Contents(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_ends = stat.rfind(')');
  if (name_ends == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_ends + 1));
  std::string field;
  for (int number = 3; fields >> field; ++number) {
    if (number == 3 && (field == "Z" || field == "X")) return 0;
    std::int64_t ticks = 0;
    if (number == 22) return absl::SimpleAtoi(field, &ticks) ? ticks : 0;
  }
  return 0;
}

/// The value of the first "key : value" line of a file of /proc; empty without one.
std::string Value(const std::string& file, const std::string& key) {
  std::istringstream lines(Contents(file));
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !absl::StartsWith(line, key)) continue;
    return std::string(absl::StripAsciiWhitespace(absl::string_view(line).substr(colon + 1)));
  }
  return {};
}

}  // namespace

ProcessId ThisProcess() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::string boot(absl::StripAsciiWhitespace(Contents("/proc/sys/kernel/random/boot_id")));
  std::error_code error;
  absl::StrAppend(&boot, " ", fs::read_symlink("/proc/self/ns/pid", error).string());
  return {.host = host.data(), .boot = boot, .pid = getpid(), .started = StartOf(getpid())};
}

bool IsAlive(const ProcessId& process) {
  return process.pid > 0 && process.started > 0 && StartOf(process.pid) == process.started;
}

std::vector<Fact> MachineFacts() {
  std::vector<Fact> facts;
  const auto add = [&](const char* topic, const char* name, auto value) {
    facts.push_back({.topic = topic, .name = name, .value = std::move(value)});
  };
  utsname system{};
  uname(&system);
  const std::string processor = Value("/proc/cpuinfo", "model name");
  add("machine", "processor", processor.empty() ? std::string(system.machine) : processor);
  add("machine", "cores", static_cast<std::int64_t>(std::thread::hardware_concurrency()));
  add("machine", "memory_bytes",
      static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE));
  add("machine", "kernel", absl::StrCat(system.sysname, " ", system.release));
  add("program", "version", std::string(core::kVersion));
  if (*kRevision != '\0') add("program", "revision", std::string(kRevision));
  add("program", "libtorch", std::string(TORCH_VERSION));
  if (auto own = core::Sha256OfFile("/proc/self/exe"); own.ok()) {
    add("program", "sha256", *std::move(own));
  }
  return facts;
}

std::string Utc(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace orchard::training
