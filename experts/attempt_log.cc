#include "experts/attempt_log.h"

#include <utility>

namespace orchard::experts {

std::string_view Name(AttemptRecord::Kind kind) {
  switch (kind) {
    case AttemptRecord::Kind::kFirst:
      return "first";
    case AttemptRecord::Kind::kRetry:
      return "retry";
    case AttemptRecord::Kind::kHedge:
      return "hedge";
  }
  return "first";
}

size_t AttemptLog::Began(AttemptRecord attempt) {
  core::MutexLock lock(mutex_);
  attempts_.push_back({.record = std::move(attempt)});
  return attempts_.size() - 1;
}

void AttemptLog::Ended(size_t number, AttemptRecord attempt) {
  core::MutexLock lock(mutex_);
  attempts_[number] = {.record = std::move(attempt), .ended = true};
}

std::vector<AttemptRecord> AttemptLog::Snapshot(core::Clock::time_point now,
                                                absl::StatusCode given_up) const {
  std::vector<AttemptRecord> records;
  core::MutexLock lock(mutex_);
  records.reserve(attempts_.size());
  for (const Attempt& attempt : attempts_) {
    AttemptRecord& record = records.emplace_back(attempt.record);
    if (attempt.ended) continue;
    record.end = now;
    record.code = given_up;
  }
  return records;
}

}  // namespace orchard::experts
