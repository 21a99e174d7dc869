#include "router/model_experts.h"

#include <utility>

namespace orchard::router {

ModelExperts::ModelExperts(Options options, std::unique_ptr<ExpertFleet> fleet,
                           core::TimerQueue& timers, ColdMetrics& metrics)
    : options_(options),
      fleet_(std::move(fleet)),
      outstanding_(fleet_->domains()),
      cold_({.longest = options.cold_start_wait}, *fleet_, timers, metrics) {}

bool ModelExperts::TakePlace(size_t domain) {
  if (options_.in_flight == 0) return true;
  if (outstanding_[domain].fetch_add(1) < options_.in_flight) return true;
  outstanding_[domain].fetch_sub(1);
  return false;
}

void ModelExperts::GiveBackPlaces(size_t domain, size_t rows) {
  if (options_.in_flight > 0) outstanding_[domain].fetch_sub(rows);
}

void ModelExperts::Unavailable(std::span<std::optional<experts::MissingReason>> out) const {
  fleet_->Unavailable(out);
  if (cold_.longest() > core::Clock::duration::zero()) {
    for (std::optional<experts::MissingReason>& reason : out) {
      if (reason == experts::MissingReason::kCold) reason.reset();
    }
  }
  if (options_.in_flight == 0) return;
  for (size_t domain = 0; domain < out.size(); ++domain) {
    const size_t rows = outstanding_[domain].load(std::memory_order_relaxed);
    if (!out[domain] && rows >= options_.in_flight) {
      out[domain] = experts::MissingReason::kOverloaded;
    }
  }
}

void ModelExperts::Wanted(std::span<const size_t> domains, core::Clock::time_point now) {
  if (options_.demand == nullptr) return;
  for (const size_t domain : domains) options_.demand->Wanted(domain, now);
}

}  // namespace orchard::router
