#include "bench/fleet/cores.h"

#include <algorithm>
#include <utility>

namespace orchard::bench {
namespace {

constexpr double kRounding = 1e-9;  // s: times of events are whole nanoseconds

}  // namespace

double Cores::Busy() const { return std::min(static_cast<double>(jobs_.size()), cores_); }

void Cores::Advance() {
  const double seconds = core::Seconds(events_.now() - then_);
  then_ = events_.now();
  if (jobs_.empty()) return;
  progress_ += seconds * Busy() / static_cast<double>(jobs_.size());
  used_ += seconds * Busy();
}

double Cores::used() {
  Advance();
  return used_;
}

void Cores::Work(double seconds, Events::Run done) {
  Advance();
  if (jobs_.empty()) progress_ = 0.0;  // It must not lose its last digits in a long run.
  jobs_.push_back({progress_ + std::max(0.0, seconds), ++order_, std::move(done)});
  std::ranges::push_heap(jobs_, Later);
  Plan();
}

void Cores::Stop() {
  Advance();
  jobs_.clear();
  ++plan_;
}

/// The end of the next one, as things stand; another piece of work makes another plan.
void Cores::Plan() {
  const std::uint64_t plan = ++plan_;
  if (jobs_.empty()) return;
  const double left = std::max(0.0, jobs_.front().ends - progress_);
  events_.In(FromSeconds(left * static_cast<double>(jobs_.size()) / Busy()), [this, plan] {
    if (plan == plan_) Finish();
  });
}

void Cores::Finish() {
  Advance();
  std::vector<Events::Run> done;
  while (!jobs_.empty() && jobs_.front().ends <= progress_ + kRounding) {
    std::ranges::pop_heap(jobs_, Later);
    done.push_back(std::move(jobs_.back().done));
    jobs_.pop_back();
  }
  Plan();
  for (const Events::Run& run : done) run();
}

}  // namespace orchard::bench
