#include "router/gather.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "router/errors.h"

namespace orchard::router {

using experts::MissingReason;
using moe::ExpertState;

namespace {

/// What a message says of a domain that could not be asked, or whose expert did not answer.
std::string Describe(MissingReason reason, const absl::Status& fault) {
  switch (reason) {
    case MissingReason::kDown:
      return "is down";
    case MissingReason::kTimeout:
      return "is late";
    case MissingReason::kOverloaded:
      return "is overloaded";
    case MissingReason::kEjected:
      return "is left alone for a while after many faults";
    case MissingReason::kForeign:
      return "is of another model";
    case MissingReason::kCold:
      return "is starting";
    case MissingReason::kFailed:
      return absl::StrCat("failed (", absl::StatusCodeToString(fault.code()), ")");
  }
  return "failed";
}

}  // namespace

Gather::Gather(const moe::Policy& policy, std::span<const double> log_domain,
               const Catalogue& catalogue)
    : catalogue_(&catalogue),
      policy_(policy),
      log_domain_(log_domain.begin(), log_domain.end()),
      states_(log_domain.size(), ExpertState::kUnasked),
      faults_(log_domain.size()),
      reasons_(log_domain.size()),
      asked_(log_domain.size(), false),
      wanted_(log_domain.size(), false) {}

std::span<const size_t> Gather::Next(std::span<const std::optional<MissingReason>> unavailable,
                                     PlanRoom& room) {
  assert(waiting_ == 0);
  bool any_down = false;
  for (size_t domain = 0; domain < states_.size(); ++domain) {
    if (asked_[domain]) continue;
    states_[domain] = unavailable[domain] ? ExpertState::kDown : ExpertState::kUnasked;
    any_down = any_down || unavailable[domain];
    reasons_[domain] = unavailable[domain];
  }
  std::vector<size_t>& wave = room.wave;
  moe::NextWave(policy_, log_domain_, states_, best_log_joint_, wave);
  room.wanted.clear();
  if (any_down) {
    moe::PassedOver(policy_, log_domain_, states_, best_log_joint_, wave, room.passed);
    NoteWanted(room.passed, room);
  }
  wave_reason_ =
      policy_.kind == moe::PolicyKind::kExact ? WaveReason::kCouldWin : WaveReason::kPolicy;
  if (wave.empty()) {
    const std::optional<size_t> domain = NextForConfidence(room.concepts);
    if (domain) wave.push_back(*domain);
    wave_reason_ = WaveReason::kCouldMakeItSure;
  }
  NoteWanted(wave, room);
  for (const size_t domain : wave) {
    asked_[domain] = true;
    states_[domain] = ExpertState::kFailed;
    reasons_[domain] = MissingReason::kTimeout;  // Until it says something else.
  }
  waiting_ = wave.size();
  return wave;
}

void Gather::NoteWanted(std::span<const size_t> domains, PlanRoom& room) {
  for (const size_t domain : domains) {
    if (wanted_[domain]) continue;
    wanted_[domain] = true;
    room.wanted.push_back(domain);
  }
}

std::optional<size_t> Gather::NextForConfidence(std::vector<double>& room) const {
  const std::optional<double>& least = catalogue_->thresholds.confidence;
  if (policy_.kind != moe::PolicyKind::kExact || !least || answers_.empty()) return std::nullopt;
  // A concept has at least its best class.
  if (std::exp(best_log_joint_) >= *least) return std::nullopt;
  const auto best = moe::BestConcept(catalogue_->taxonomy, log_domain_, answers_, room);
  if (!best.ok()) return std::nullopt;  // Whoever combines in the end says what is wrong.
  return moe::NextForConcept(catalogue_->taxonomy, log_domain_, states_, best->concept_index,
                             best->probability, *least);
}

void Gather::Answered(size_t domain, std::shared_ptr<const model::ScoreBatch> scores, size_t row) {
  states_[domain] = ExpertState::kAnswered;
  reasons_[domain].reset();
  const moe::ExpertAnswer answer{.domain = domain, .log_probabilities = scores->Row(row)};
  best_log_joint_ = std::max(best_log_joint_, moe::BestLogJoint(log_domain_, {&answer, 1}));
  answers_.push_back(answer);
  scores_.push_back(std::move(scores));
  --waiting_;
}

void Gather::Failed(size_t domain, absl::Status why, MissingReason reason) {
  faults_[domain] = std::move(why);
  reasons_[domain] = reason;
  --waiting_;
}

void Gather::GiveUp() {
  waiting_ = 0;
  gave_up_ = true;
}

std::vector<size_t> Gather::Missing() const {
  return moe::Missing(policy_, log_domain_, states_, best_log_joint_);
}

std::vector<bool> Gather::Activated() const {
  std::vector<bool> activated = asked_;
  for (const size_t domain : Missing()) activated[domain] = true;
  return activated;
}

absl::Status Gather::WhyNothing(const std::vector<std::string>& names) const {
  std::string reasons;
  std::string domains;
  bool all_late = true;
  for (const size_t domain : Missing()) {
    if (!reasons_[domain]) continue;  // Not asked for want of time: it is not its fault.
    const bool first = domains.empty();
    all_late = all_late && reasons_[domain] == MissingReason::kTimeout;
    absl::StrAppend(&domains, first ? "" : ",", names[domain]);
    absl::StrAppend(&reasons, first ? "" : ", ", names[domain], " ",
                    Describe(*reasons_[domain], faults_[domain]));
  }
  if (gave_up_ && all_late) {
    return absl::DeadlineExceededError(
        reasons.empty() ? "the deadline passed before an expert could be asked"
                        : absl::StrCat("no expert answered before the deadline: ", reasons));
  }
  return NoExpertError(absl::StrCat("no expert answered: ", reasons), domains);
}

}  // namespace orchard::router
