#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "experts/expert.h"
#include "moe/abstain.h"
#include "moe/combine.h"
#include "moe/policy.h"
#include "router/catalogue.h"
#include "router/passage.h"

namespace orchard::router {

/// What became of one domain for one picture.
struct DomainRoute {
  double log_probability = 0.0;  ///< log p(branch) + log p(domain | branch), nats
  bool activated = false;        ///< chosen: asked, or found not to be worth asking
  bool answered = false;         ///< in time
  /// Why it is missing; nothing when it is not.
  std::optional<experts::MissingReason> missing_reason = std::nullopt;

  bool missing() const { return missing_reason.has_value(); }
};

/// How one picture came to its experts.
struct Routing {
  moe::PolicyKind policy = moe::PolicyKind::kExact;
  size_t branch = 0;  ///< the most probable one
  double branch_probability = 0.0;
  std::vector<DomainRoute> domains = {};  ///< [G]

  size_t Activated() const {
    return static_cast<size_t>(std::ranges::count_if(domains, &DomainRoute::activated));
  }
  /// Without every expert that was chosen.
  bool degraded() const { return std::ranges::any_of(domains, &DomainRoute::missing); }
};

/// What the pipeline says of one picture, by index into the catalogue: no names, no wire.
/// render.h makes messages of it.
struct Classification {
  const Catalogue* catalogue = nullptr;           ///< of the model that answered; outlives this
  std::vector<moe::ClassProbability> classes;     ///< best first; never empty
  std::vector<moe::ConceptProbability> concepts;  ///< best first; never empty
  double coverage = 0.0;                          ///< gate mass of the experts that answered
  bool exact = false;  ///< no expert that did not answer could change the first class
  moe::Outcome outcome = moe::Outcome::kOk;
  double unknown_score = 0.0;  ///< larger is more familiar
  Routing routing;
  Passage passage{core::Clock::time_point()};  ///< until it was combined
};

}  // namespace orchard::router
