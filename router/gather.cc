#include "router/gather.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace orchard::router {

using moe::ExpertState;

Gather::Gather(const moe::Policy& policy, std::span<const double> log_domain,
               const Catalogue& catalogue)
    : catalogue_(&catalogue),
      policy_(policy),
      log_domain_(log_domain.begin(), log_domain.end()),
      states_(log_domain.size(), ExpertState::kUnasked),
      faults_(log_domain.size()),
      asked_(log_domain.size(), false) {}

std::vector<size_t> Gather::Next(const std::vector<bool>& available) {
  assert(waiting_ == 0);
  for (size_t domain = 0; domain < states_.size(); ++domain) {
    if (asked_[domain]) continue;
    states_[domain] = available[domain] ? ExpertState::kUnasked : ExpertState::kDown;
  }
  std::vector<size_t> wave = moe::NextWave(policy_, log_domain_, states_, best_log_joint_);
  if (wave.empty()) wave = NextForConfidence();
  for (const size_t domain : wave) {
    asked_[domain] = true;
    states_[domain] = ExpertState::kFailed;
  }
  waiting_ = wave.size();
  return wave;
}

std::vector<size_t> Gather::NextForConfidence() const {
  const std::optional<double>& least = catalogue_->thresholds.confidence;
  if (policy_.kind != moe::PolicyKind::kExact || !least || answers_.empty()) return {};
  if (std::exp(best_log_joint_) >= *least) return {};  // A concept has at least its best class.
  const auto best = moe::Combine(catalogue_->taxonomy, log_domain_, Answers(), /*top=*/1);
  if (!best.ok()) return {};  // Whoever combines in the end says what is wrong.
  const moe::ConceptProbability& found = best->concepts.front();
  return moe::NextForConcept(catalogue_->taxonomy, log_domain_, states_, found.concept_index,
                             found.probability, *least);
}

void Gather::Answered(size_t domain, std::shared_ptr<const model::ScoreBatch> scores, size_t row) {
  states_[domain] = ExpertState::kAnswered;
  const moe::ExpertAnswer answer{.domain = domain, .log_probabilities = scores->Row(row)};
  best_log_joint_ = std::max(best_log_joint_, moe::BestLogJoint(log_domain_, {&answer, 1}));
  answers_.push_back({domain, std::move(scores), row});
  --waiting_;
}

void Gather::Failed(size_t domain, absl::Status why) {
  faults_[domain] = std::move(why);
  --waiting_;
}

void Gather::GiveUp() {
  waiting_ = 0;
  gave_up_ = true;
}

std::vector<moe::ExpertAnswer> Gather::Answers() const {
  std::vector<moe::ExpertAnswer> answers;
  answers.reserve(answers_.size());
  for (const Answer& answer : answers_) {
    answers.push_back(
        {.domain = answer.domain, .log_probabilities = answer.scores->Row(answer.row)});
  }
  return answers;
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
  bool all_late = true;
  for (const size_t domain : Missing()) {
    const absl::Status& fault = faults_[domain];
    const bool down = states_[domain] == ExpertState::kDown;
    const bool late = !down && (fault.ok() || absl::IsDeadlineExceeded(fault));
    all_late = all_late && late;
    absl::StrAppend(&reasons, reasons.empty() ? "" : ", ", names[domain],
                    down ? " is down"
                    : late
                        ? " is late"
                        : absl::StrCat(" failed (", absl::StatusCodeToString(fault.code()), ")"));
  }
  const std::string message = absl::StrCat("no expert answered: ", reasons);
  return all_late ? absl::DeadlineExceededError(message) : absl::UnavailableError(message);
}

}  // namespace orchard::router
