#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "core/mutex.h"
#include "experts/expert.h"
#include "model/expert_head.h"

/// \file
/// A stand-in for an expert, for the tests of everything above experts::Expert.

namespace orchard::testing {

/// An answer of `rows` rows whose log-probabilities are all `log_probability`; energies are 0.
inline model::ScoreBatch FlatScores(size_t rows, size_t classes, float log_probability) {
  return {.rows = rows,
          .classes = classes,
          .log_probabilities = std::vector<float>(rows * classes, log_probability),
          .energy = std::vector<float>(rows, 0.0F)};
}

/// An expert whose answers the test releases by hand, or that answers by a rule of the test. Calls
/// that are still waiting when it is destroyed are answered with UNAVAILABLE. Thread-safe.
class FakeExpert final : public experts::Expert {
 public:
  using Answer = absl::StatusOr<model::ScoreBatch>;
  using Rule = std::function<Answer(const experts::SubBatch&, const experts::CallContext&)>;

  /// What was asked.
  struct Asked {
    experts::SubBatch batch;
    experts::CallContext context;
  };

  FakeExpert() = default;
  explicit FakeExpert(Rule rule) : rule_(std::move(rule)) {}
  ~FakeExpert() override { Stop(); }

  void Stop() override {
    AnswerBy([](const auto&, const auto&) -> Answer { return Gone(); });
    AnswerAll(Gone());
  }

  void Score(experts::SubBatch batch, experts::CallContext context, Done done) override {
    Rule rule;
    {
      core::MutexLock lock(mutex_);
      asked_.push_back({batch, context});
      rule = rule_;
      if (!rule) waiting_.push_back({std::move(batch), context, std::move(done)});
      changed_.notify_all();
    }
    if (rule)
      std::move(done)(ScoredOf(rule(batch, context)));  // Outside the lock: it may come back to us.
  }

  std::optional<experts::MissingReason> Unavailable() const override {
    core::MutexLock lock(mutex_);
    ++looks_;
    return unavailable_;
  }
  void Hurry() override {
    core::MutexLock lock(mutex_);
    ++hurried_;
  }
  /// How often somebody said that it waits.
  size_t hurried() const {
    core::MutexLock lock(mutex_);
    return hurried_;
  }
  /// How often Unavailable() was asked.
  size_t looks() const {
    core::MutexLock lock(mutex_);
    return looks_;
  }
  void SetUnavailable(std::optional<experts::MissingReason> reason) {
    core::MutexLock lock(mutex_);
    unavailable_ = reason;
  }

  /// From now on calls are answered at once, on the caller's thread; nullptr: by hand again.
  void AnswerBy(Rule rule) {
    core::MutexLock lock(mutex_);
    rule_ = std::move(rule);
  }

  /// Answers all that wait with the same; returns how many did.
  size_t AnswerAll(const Answer& answer) {
    return AnswerAllBy([&](const auto&, const auto&) { return answer; });
  }

  /// Answers all that wait by `rule`; returns how many did.
  size_t AnswerAllBy(const Rule& rule) {
    std::vector<Waiting> calls;
    {
      core::MutexLock lock(mutex_);
      calls.swap(waiting_);
    }
    for (Waiting& call : calls) {
      std::move(call.done)(ScoredOf(rule(call.batch, call.context)));
    }
    return calls.size();
  }

  /// Waits until `calls` calls have come in all, answered ones included. The test's own time limit
  /// ends a wait in vain.
  void WaitForCalls(size_t calls) const {
    core::MutexLock lock(mutex_);
    while (asked_.size() < calls) lock.Wait(changed_);
  }

  size_t calls() const {
    core::MutexLock lock(mutex_);
    return asked_.size();
  }
  std::vector<Asked> asked() const {
    core::MutexLock lock(mutex_);
    return asked_;
  }

 private:
  static experts::Scored ScoredOf(Answer answer) {
    const experts::MissingReason reason = experts::ReasonOf(answer.status());
    return {.scores = std::move(answer), .reason = reason};
  }

  static absl::Status Gone() { return absl::UnavailableError("the fake expert is gone"); }

  struct Waiting {
    experts::SubBatch batch;
    experts::CallContext context;
    Done done;
  };

  mutable core::Mutex mutex_;
  mutable std::condition_variable changed_;
  Rule rule_ ABSL_GUARDED_BY(mutex_);
  std::optional<experts::MissingReason> unavailable_ ABSL_GUARDED_BY(mutex_);
  size_t hurried_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable size_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Asked> asked_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::testing
