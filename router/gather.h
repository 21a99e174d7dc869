#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "core/log_space.h"
#include "experts/expert.h"
#include "model/expert_head.h"
#include "moe/combine.h"
#include "moe/plan.h"
#include "moe/policy.h"
#include "router/catalogue.h"
#include "router/request_record.h"

namespace orchard::router {

/// What planning writes to. Whoever plans keeps it from plan to plan, so that none allocates.
struct PlanRoom {
  std::vector<size_t> wave;
  std::vector<size_t> passed;  // over, because they can't be asked
  /// What Next() found to be wanted of the domains, and had not before: its wave, and those that it
  /// would have asked if they could be. Each once a picture.
  std::vector<size_t> wanted;
  std::vector<double> concepts;
};

/// One picture's answers so far, and what to ask next. No threads, no clock: the scatter has both.
///
/// Use: while Next() gives domains, ask them and report each with Answered() or Failed(); or stop
/// with GiveUp(). Not thread-safe: the owner locks.
class Gather {
 public:
  /// `log_domain` has shape [G]: log p(branch) + log p(domain | branch). Under EXACT, experts are
  /// asked until no other could win or lift the best concept over thresholds.confidence. The
  /// catalogue outlives this object.
  Gather(const moe::Policy& policy, std::span<const double> log_domain, const Catalogue& catalogue);

  /// The next wave, from now on waited for; empty when the answer is as complete as it gets.
  /// Nothing may be waited for. `unavailable`, shape [G]: why a domain can't be asked now; nothing:
  /// it can. Borrows from `room`, and leaves there what is wanted.
  std::span<const size_t> Next(std::span<const std::optional<experts::MissingReason>> unavailable,
                               PlanRoom& room);

  /// Of the last wave.
  WaveReason wave_reason() const { return wave_reason_; }

  /// Row `row` of `scores` is what the expert of `domain` says. Every picture of a sub-batch keeps
  /// a share of the one answer, so that no row is copied.
  void Answered(size_t domain, std::shared_ptr<const model::ScoreBatch> scores, size_t row);

  /// The expert of `domain` failed. `reason`: as callers and metrics are told.
  void Failed(size_t domain, absl::Status why, experts::MissingReason reason);

  /// No more waiting: what has not come is late.
  void GiveUp();

  bool waiting() const { return waiting_ > 0; }
  const moe::Policy& policy() const { return policy_; }
  std::span<const double> log_domain() const { return log_domain_; }

  /// In the order in which they came. Borrows from this object.
  std::span<const moe::ExpertAnswer> Answers() const { return answers_; }

  bool HasAnswered(size_t domain) const { return states_[domain] == moe::ExpertState::kAnswered; }

  /// Domains that were chosen and did not answer, ascending.
  std::vector<size_t> Missing() const;

  /// Why a missing domain has no answer. What was not asked in time is late as well.
  experts::MissingReason WhyMissing(size_t domain) const {
    return reasons_[domain].value_or(experts::MissingReason::kTimeout);
  }

  /// By domain: chosen, that is asked or found not to be worth asking.
  std::vector<bool> Activated() const;

  /// Whether no expert that did not answer could change the first class.
  bool Exact() const { return moe::IsExact(log_domain_, states_, best_log_joint_); }

  /// Why there is no answer at all, by the names of the domains that were asked or could not be.
  /// Errors: DEADLINE_EXCEEDED when the picture's time is over and they are merely late; otherwise
  /// UNAVAILABLE with reason NO_EXPERT (errors.h).
  absl::Status WhyNothing(const std::vector<std::string>& names) const;

 private:
  std::optional<size_t> NextForConfidence(std::vector<double>& room) const;
  void NoteWanted(std::span<const size_t> domains, PlanRoom& room);

  const Catalogue* catalogue_;
  moe::Policy policy_;
  std::vector<double> log_domain_;
  std::vector<moe::ExpertState> states_;  // Who is asked counts as failed until it answers.
  std::vector<absl::Status> faults_;      // by domain; OK: none is known
  std::vector<std::optional<experts::MissingReason>> reasons_;  // of who did not answer (yet)
  std::vector<bool> asked_;
  std::vector<bool> wanted_;  // asked, or passed over
  std::vector<moe::ExpertAnswer> answers_;
  // What they borrow from; shared by the pictures of a sub-batch.
  std::vector<std::shared_ptr<const model::ScoreBatch>> scores_;
  double best_log_joint_ = core::kMasked;
  size_t waiting_ = 0;
  WaveReason wave_reason_ = WaveReason::kPolicy;
  bool gave_up_ = false;
};

}  // namespace orchard::router
