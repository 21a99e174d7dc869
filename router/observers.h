#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "router/request_record.h"

namespace orchard::router {

/// How much of a record is made; what nobody wants is not made.
enum class Depth : std::uint8_t {
  kOutcome,  ///< all but the waves
  kWaves,    ///< with waves, calls and attempts
};

/// Hears of every request when it has ended. Thread-safe, and quick: it is called on the thread
/// that answers, or, after the answer to a request that was refused where it came in, on one for
/// that (refused.h). One that has much to do with a record copies what it needs into a queue of its
/// own, which is bounded, and drops rather than waits.
class Observer {
 public:
  virtual ~Observer() = default;

  virtual Depth depth() const { return Depth::kOutcome; }
  /// Whether it hears before the answer leaves: for what the caller may look at next, such as
  /// counters. The others hear after it, and cost the caller nothing.
  virtual bool before_answer() const { return false; }

  virtual void Finished(const RequestRecord& record) = 0;
};

/// Those that a pipeline has; they outlive it. Immutable, hence thread-safe.
class Observers {
 public:
  Observers() = default;
  explicit Observers(std::vector<Observer*> observers) {
    for (Observer* const observer : observers) {
      depth_ = std::max(depth_, observer->depth());
      (observer->before_answer() ? before_ : after_).push_back(observer);
    }
  }

  /// The deepest that any of them wants.
  Depth depth() const { return depth_; }

  bool AnyAfterAnswer() const { return !after_.empty(); }

  void BeforeAnswer(const RequestRecord& record) const { Tell(before_, record); }
  void AfterAnswer(const RequestRecord& record) const { Tell(after_, record); }

 private:
  static void Tell(const std::vector<Observer*>& observers, const RequestRecord& record) {
    for (Observer* const observer : observers) observer->Finished(record);
  }

  std::vector<Observer*> before_, after_;
  Depth depth_ = Depth::kOutcome;
};

}  // namespace orchard::router
