#pragma once

#include <chrono>
#include <string>

namespace orchard::training {

/// Says on stderr how far a long piece of work is: a bar that is redrawn on a terminal, a plain
/// line every ten seconds otherwise. Not thread-safe.
class Progress {
 public:
  /// `total` steps of `unit_per_step` units ("pictures") each.
  Progress(std::string title, size_t total, double unit_per_step, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` steps are finished; `note` is shown behind, for example "loss 0.41".
  void Update(size_t done, const std::string& note);

 private:
  using Clock = std::chrono::steady_clock;

  std::string title_, unit_;
  size_t total_;
  double unit_per_step_;
  bool terminal_;
  Clock::time_point start_, last_;
};

/// "1:02:03" or "4:05".
std::string Duration(double seconds);

}  // namespace orchard::training
