#include "training/studies/gates/answers.h"

#include <algorithm>

#include "core/status.h"
#include "training/measure/served.h"

namespace orchard::training {
namespace {

size_t MostProbableDomain(const router::Routing& routing) {
  const auto most =
      std::ranges::max_element(routing.domains, {}, &router::DomainRoute::log_probability);
  return static_cast<size_t>(most - routing.domains.begin());
}

}  // namespace

absl::StatusOr<KnownAnswers> AskKnown(const std::filesystem::path& version_dir,
                                      const std::vector<Question>& questions,
                                      const std::vector<Label>& labels, size_t threads) {
  ORCHARD_ASSIGN_OR_RETURN(const auto served,
                           ServedModel::Load(version_dir, threads, model::EncoderPrecision::kAuto));
  const std::vector<router::Options> by_default(1);
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<router::Classification> answers,
                           served->Classify(questions, by_default));
  const auto domains = static_cast<size_t>(served->manifest().experts_size());
  KnownAnswers known{.unknown_score = {},
                     .confidence = {},
                     .routing = std::vector<double>(domains, 0.0),
                     .domain = std::vector<Hits>(domains),
                     .routed = std::vector<Hits>(domains)};
  for (size_t i = 0; i < answers.size(); ++i) {
    const router::Classification& answer = answers[i];
    const auto& [g, label] = labels[i];
    known.unknown_score.push_back(answer.unknown_score);
    known.confidence.push_back(answer.concepts.front().probability);
    const size_t chosen = MostProbableDomain(answer.routing);
    known.routing[chosen] += 1.0 / static_cast<double>(answers.size());
    known.domain[g].Count(chosen == g);
    const moe::ClassProbability& first = answer.classes.front();
    known.routed[g].Count(first.domain == g && first.label == label);
  }
  return known;
}

}  // namespace orchard::training
