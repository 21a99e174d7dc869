#include "training/log/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace orchard::training {
namespace {

constexpr std::chrono::milliseconds kRedraw{200};
constexpr std::chrono::seconds kLine{10};
constexpr size_t kWidth = 30;  ///< characters of the bar

std::string Bar(double share) {
  const auto full = static_cast<size_t>(share * static_cast<double>(kWidth));
  return absl::StrCat("[", std::string(full, '#'), std::string(kWidth - full, '.'), "]");
}

}  // namespace

Progress::Progress(std::string title, size_t total, double unit_per_step, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(std::max<size_t>(total, 1)),
      unit_per_step_(unit_per_step),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (terminal_) std::fputs("\n", stderr);
}

void Progress::Update(size_t done, const std::string& note) {
  const Clock::time_point now = Clock::now();
  const bool due = now - last_ >= (terminal_ ? Clock::duration(kRedraw) : Clock::duration(kLine));
  if (!due && done < total_) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0.0 ? static_cast<double>(done) / seconds : 0.0;
  const double left = rate > 0.0 ? static_cast<double>(total_ - done) / rate : 0.0;
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  const std::string line =
      absl::StrFormat("%s %s%3.0f%%  %d/%d  %.1f %s/s  ETA %s  %s", title_,
                      terminal_ ? absl::StrCat(Bar(share), " ") : "", 100.0 * share, done, total_,
                      rate * unit_per_step_, unit_, Duration(left), note);
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
  std::fflush(stderr);
}

std::string Duration(double seconds) {
  const auto whole = static_cast<long long>(std::lround(seconds));
  const long long hours = whole / 3600;
  const long long minutes = whole / 60 % 60;
  if (hours > 0) return absl::StrFormat("%d:%02d:%02d", hours, minutes, whole % 60);
  return absl::StrFormat("%d:%02d", minutes, whole % 60);
}

}  // namespace orchard::training
