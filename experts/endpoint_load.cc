#include "experts/endpoint_load.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace orchard::experts {
namespace {

constexpr double kUsual = 0.05;          // weight of an answer that is like the average
constexpr double kQuick = 0.3;           // weight of one that is much quicker
constexpr double kSlow = 3.0;            // what takes so many times as long is another world
constexpr double kReportSeconds = 1.0;   // and so does what it said of others' rows
constexpr double kFailureSeconds = 1.0;  // a failure counts as an answer that took this long
constexpr int kMostOvertaken = 7;        // doublings of what is thought of it, and for how long
constexpr core::Clock::duration kLongestRest = std::chrono::seconds(1);
constexpr double kFloorSeconds = 0.002;  // below, the noise of a machine is all there is

double Fade(core::Clock::duration age, double seconds) {
  return std::exp(-std::max(0.0, core::Seconds(age)) / seconds);
}

}  // namespace

EndpointLoad::Ticket EndpointLoad::Started(size_t rows, core::Clock::time_point now) {
  if (calls_.empty()) level_ = Latency(now);
  calls_.emplace(++last_, Outstanding{.begin = now, .rows = rows});
  rows_ += rows;
  return last_;
}

void EndpointLoad::Answered(Ticket call, size_t reported, core::Clock::time_point now) {
  const double seconds = core::Seconds(now - Take(call, now).begin);
  if (seconds <= level_) overtaken_ = 0;  // As quick as it was thought to be.
  Observe(seconds);
  reported_ = reported;
  reported_at_ = now;
}

void EndpointLoad::Failed(Ticket call, core::Clock::time_point now) {
  Observe(std::max(core::Seconds(now - Take(call, now).begin), kFailureSeconds));
}

void EndpointLoad::Abandoned(Ticket call, core::Clock::time_point now) {
  const double age = core::Seconds(now - Take(call, now).begin);
  if (age <= level_) return;
  level_ = std::max(age, std::min(std::ldexp(age, overtaken_), kFailureSeconds));
  overtaken_ = std::min(overtaken_ + 1, kMostOvertaken);
}

void EndpointLoad::AskedForPatience(core::Clock::duration pushback, core::Clock::time_point now) {
  rests_until_ = std::max(rests_until_, now + std::min(pushback, kLongestRest));
}

double EndpointLoad::Latency(core::Clock::time_point now) const {
  if (!calls_.empty()) return level_;
  return level_ * Fade(now - idle_since_, std::ldexp(core::Seconds(fade_), overtaken_));
}

double EndpointLoad::Cost(core::Clock::time_point now) const {
  const double seconds = Latency(now);
  const double late = std::max(0.0, core::Seconds(OldestAge(now)) - seconds);
  const double reported = static_cast<double>(reported_) * Fade(now - reported_at_, kReportSeconds);
  const double waiting = std::max(static_cast<double>(rows_), reported);
  return (kFloorSeconds + seconds) * (1.0 + waiting) + late;
}

core::Clock::duration EndpointLoad::OldestAge(core::Clock::time_point now) const {
  if (calls_.empty()) return {};
  return std::max(core::Clock::duration{}, now - calls_.begin()->second.begin);
}

EndpointLoad::Outstanding EndpointLoad::Take(Ticket call, core::Clock::time_point now) {
  const auto place = calls_.find(call);
  const Outstanding taken = place->second;
  calls_.erase(place);
  rows_ -= taken.rows;
  if (calls_.empty()) idle_since_ = now;
  return taken;
}

void EndpointLoad::Observe(double seconds) {
  last_seconds_[answers_ % last_seconds_.size()] = seconds;
  ++answers_;
  auto sorted = last_seconds_;
  const size_t known = std::min(answers_, sorted.size());
  // All of it, whose length GCC knows; what is not known yet goes to the end.
  std::fill(sorted.begin() + static_cast<std::ptrdiff_t>(known), sorted.end(),
            std::numeric_limits<double>::infinity());
  std::sort(sorted.begin(), sorted.end());
  const double usual = sorted[(known - 1) / 2];
  if (usual > kSlow * level_) {
    level_ = usual;
  } else {
    level_ += (kSlow * usual < level_ ? kQuick : kUsual) * (usual - level_);
  }
}

}  // namespace orchard::experts
