#include "server/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <sched.h>

namespace orchard::server {
namespace {

namespace fs = std::filesystem;

constexpr double kDecodersPerEncoder = 1.0;
constexpr std::uint64_t kQuarter = 4;
constexpr std::uint64_t kEighth = 8;

/// Version 1 says "no limit" by a number near 2^63, rounded to pages.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;

std::string FirstLine(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// Shrinks the allowance by the group in `folder`, if it is one.
using ReadGroup = void (*)(const fs::path& folder, Allowance& allowance);

void LimitCpus(double quota, double period, Allowance& allowance) {
  if (quota > 0.0 && period > 0.0) allowance.cpus = std::min(allowance.cpus, quota / period);
}

void LimitMemory(std::uint64_t bytes, Allowance& allowance) {
  if (bytes == 0 || bytes >= kNoLimit) return;
  allowance.memory = std::min(allowance.memory.value_or(bytes), bytes);
}

/// cpu.max: "200000 100000" or "max 100000"; memory.max: bytes or "max".
void ReadVersion2(const fs::path& folder, Allowance& allowance) {
  double quota = 0.0, period = 0.0;
  const std::vector<std::string> cpu =
      absl::StrSplit(FirstLine(folder / "cpu.max"), ' ', absl::SkipEmpty());
  if (cpu.size() == 2 && absl::SimpleAtod(cpu[0], &quota) && absl::SimpleAtod(cpu[1], &period)) {
    LimitCpus(quota, period, allowance);
  }
  std::uint64_t bytes = 0;
  if (absl::SimpleAtoi(FirstLine(folder / "memory.max"), &bytes)) LimitMemory(bytes, allowance);
}

void ReadVersion1Cpu(const fs::path& folder, Allowance& allowance) {
  double quota = 0.0, period = 0.0;  // A quota of -1 is none.
  if (absl::SimpleAtod(FirstLine(folder / "cpu.cfs_quota_us"), &quota) &&
      absl::SimpleAtod(FirstLine(folder / "cpu.cfs_period_us"), &period)) {
    LimitCpus(quota, period, allowance);
  }
}

void ReadVersion1Memory(const fs::path& folder, Allowance& allowance) {
  std::uint64_t bytes = 0;
  if (absl::SimpleAtoi(FirstLine(folder / "memory.limit_in_bytes"), &bytes)) {
    LimitMemory(bytes, allowance);
  }
}

/// The group `path` and those around it, up to the mount. A container may see its own group as the
/// mount's root, under a path that only the machine knows: such folders are not there, the root is.
void ReadUpwards(const fs::path& mount, fs::path path, ReadGroup read, Allowance& allowance) {
  path = path.relative_path();
  while (!path.empty() && path != "..") {
    read(mount / path, allowance);
    if (!path.has_parent_path()) break;
    path = path.parent_path();
  }
  read(mount, allowance);
}

/// Where a version-1 controller is mounted: under its name or together with others.
std::vector<fs::path> Version1Mounts(const fs::path& groups, const std::string& controllers,
                                     const std::string& controller) {
  return {groups / controllers, groups / controller};
}

bool Names(const std::string& controllers, const std::string& controller) {
  const std::vector<std::string> names = absl::StrSplit(controllers, ',');
  return std::ranges::find(names, controller) != names.end();
}

size_t CpusByAffinity() {
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 16); cpus *= 2) {  // EINVAL: the mask is larger.
    cpu_set_t* const set = CPU_ALLOC(static_cast<size_t>(cpus));
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    const bool read = sched_getaffinity(0, bytes, set) == 0;
    const int count = read ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<size_t>(count);
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

Allowance ReadAllowance(const fs::path& root, size_t cpus) {
  Allowance allowance{.cpus = static_cast<double>(std::max<size_t>(cpus, 1)), .memory = {}};
  const fs::path groups = root / "sys/fs/cgroup";
  std::ifstream own(root / "proc/self/cgroup");
  // Lines "hierarchy:controllers:path"; version 2 is hierarchy 0 without controllers.
  for (std::string line; std::getline(own, line);) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::string& controllers = parts[1];
    const fs::path path = parts[2];
    if (parts[0] == "0" && controllers.empty()) {
      ReadUpwards(groups, path, ReadVersion2, allowance);
      ReadUpwards(groups / "unified", path, ReadVersion2, allowance);
    }
    if (Names(controllers, "cpu")) {
      for (const fs::path& mount : Version1Mounts(groups, controllers, "cpu")) {
        ReadUpwards(mount, path, ReadVersion1Cpu, allowance);
      }
    }
    if (Names(controllers, "memory")) {
      for (const fs::path& mount : Version1Mounts(groups, controllers, "memory")) {
        ReadUpwards(mount, path, ReadVersion1Memory, allowance);
      }
    }
  }
  return allowance;
}

Allowance OwnAllowance() { return ReadAllowance("/", CpusByAffinity()); }

WorkerCounts DivideWorkers(const Allowance& allowance, std::uint64_t bytes_a_decoder) {
  // A quota of 2.5 cores pays for two encoders, not for three.
  const double encode = std::max(1.0, std::floor(allowance.cpus));
  double decode = std::ceil(encode * kDecodersPerEncoder);
  const std::optional<std::uint64_t> bytes = DecodingBytes(allowance);
  if (bytes && bytes_a_decoder > 0) {
    decode = std::min(decode, static_cast<double>(*bytes / bytes_a_decoder));
  }
  return {.decode = static_cast<size_t>(std::max(1.0, decode)),
          .encode = static_cast<size_t>(encode)};
}

std::optional<std::uint64_t> DecodingBytes(const Allowance& allowance) {
  if (!allowance.memory) return std::nullopt;
  return *allowance.memory / kQuarter;
}

std::uint64_t AtMostForDecoding(const Allowance& allowance, std::uint64_t bytes) {
  return std::min(bytes, DecodingBytes(allowance).value_or(bytes));
}

std::uint64_t PictureBytes(const Allowance& allowance) {
  if (allowance.memory) return *allowance.memory / kQuarter;
  const auto pages = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES)));
  const auto page = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PAGESIZE)));
  return std::max(pages * page / kQuarter, std::uint64_t{64} << 20);
}

std::uint64_t AtMostAnEighth(const Allowance& allowance, std::uint64_t bytes) {
  if (!allowance.memory) return bytes;
  return std::min(bytes, std::max(*allowance.memory / kEighth, std::uint64_t{64} << 20));
}

}  // namespace orchard::server
