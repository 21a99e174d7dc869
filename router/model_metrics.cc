#include "router/model_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "experts/expert.h"
#include "rpc/status.h"
#include "server/metrics.h"

namespace orchard::router {
namespace {

using prometheus::Labels;
using prometheus::Registry;
using server::CounterFamily;
using server::GaugeFamily;
using server::HistogramFamily;

constexpr std::array kOutcomes = {moe::Outcome::kOk, moe::Outcome::kLowConfidence,
                                  moe::Outcome::kUnknownDomain};

std::string CodeName(size_t code) {
  return std::string(rpc::CodeName(static_cast<absl::StatusCode>(code)));
}

}  // namespace

ModelMetrics::ModelMetrics(Registry& registry, std::span<const std::string> domains,
                           const ModelInfo& model, core::Clock::duration window)
    : model_(model.name), window_(domains.size(), window), cold_(registry, model.name, domains) {
  RegisterDomains(registry, domains);
  RegisterPictures(registry, domains.size());
  RegisterWindow(registry, domains);
  GaugeFamily(registry, "orchard_model_info", "The model that is served; always 1.")
      .Add({{"model", model.name},
            {"version", model.version},
            {"fingerprint", model.encoder_fingerprint}})
      .Set(1.0);
}

void ModelMetrics::RegisterDomains(Registry& registry, std::span<const std::string> domains) {
  auto& routed = CounterFamily(registry, "orchard_routed_images_total",
                               "Pictures for which the expert of a domain was activated.");
  auto& mass = CounterFamily(registry, "orchard_gate_probability_total",
                             "Sum of the gates' probability of a domain over pictures.");
  auto& calls = CounterFamily(registry, "orchard_expert_calls_total",
                              "Sub-batches that experts answered, or failed, by code.");
  auto& durations = HistogramFamily(registry, "orchard_expert_call_duration_seconds",
                                    "From asking an expert to its answer, a sub-batch.");
  auto& mismatches =
      CounterFamily(registry, "orchard_fingerprint_mismatches_total",
                    "Endpoints found to serve another model, encoder, or part of another meaning.");
  auto& missing = CounterFamily(registry, "orchard_missing_total",
                                "Pictures for which a domain was chosen and did not answer.");
  for (const std::string& domain : domains) {
    for (size_t reason = 0; reason < experts::kMissingReasons; ++reason) {
      const auto name = experts::Name(static_cast<experts::MissingReason>(reason));
      missing_.push_back(
          &missing.Add({{"model", model_}, {"domain", domain}, {"reason", std::string(name)}}));
    }
    const Labels labels = {{"model", model_}, {"domain", domain}};
    routed_.push_back(&routed.Add(labels));
    gate_probability_.push_back(&mass.Add(labels));
    fingerprint_mismatches_.push_back(&mismatches.Add(labels));
    expert_durations_.push_back(&durations.Add(labels, server::SecondsBuckets()));
    for (size_t code = 0; code < kCodes; ++code) {
      expert_calls_.push_back(
          &calls.Add({{"model", model_}, {"domain", domain}, {"code", CodeName(code)}}));
    }
  }
}

void ModelMetrics::RegisterPictures(Registry& registry, size_t domains) {
  prometheus::Histogram::BucketBoundaries counts;
  for (size_t count = 0; count <= domains; ++count) counts.push_back(static_cast<double>(count));
  experts_asked_ =
      &HistogramFamily(registry, "orchard_experts_asked", "Experts activated for a picture.")
           .Add({{"model", model_}}, counts);
  auto& outcomes =
      CounterFamily(registry, "orchard_outcomes_total", "Pictures classified, by outcome.");
  for (const moe::Outcome outcome : kOutcomes) {
    outcomes_.push_back(
        &outcomes.Add({{"model", model_}, {"outcome", std::string(moe::Name(outcome))}}));
  }
  degraded_ = &CounterFamily(registry, "orchard_degraded_total",
                             "Pictures classified without all experts that were chosen.")
                   .Add({{"model", model_}});
}

void ModelMetrics::RegisterWindow(Registry& registry, std::span<const std::string> domains) {
  auto& share = GaugeFamily(registry, "orchard_window_load_share",
                            "Share of a domain in all activations of the last minute.");
  for (const std::string& domain : domains) {
    load_share_.push_back(&share.Add({{"model", model_}, {"domain", domain}}));
  }
  const auto gauge = [&](const char* name, const char* help) {
    return &GaugeFamily(registry, name, help).Add({{"model", model_}});
  };
  cv_squared_ = gauge("orchard_window_load_cv_squared",
                      "Squared coefficient of variation of the experts' load; 0 is even.");
  max_over_mean_ = gauge("orchard_window_load_max_over_mean",
                         "Load of the busiest expert over the mean; 1 is even.");
  entropy_ = gauge("orchard_window_load_entropy",
                   "Entropy of the experts' load over its maximum; 1 is even.");
  balance_loss_ = gauge("orchard_window_balance_loss",
                        "Experts times the sum of load share times gate share; 1 is even.");
  Refresh(core::Clock::now());
}

void ModelMetrics::ExpertCall(size_t domain, absl::StatusCode code, core::Clock::duration took) {
  const size_t known = std::min(static_cast<size_t>(code), kCodes - 1);
  expert_calls_[domain * kCodes + known]->Increment();
  expert_durations_[domain]->Observe(core::Seconds(took));
}

void ModelMetrics::FingerprintMismatch(size_t domain) {
  fingerprint_mismatches_[domain]->Increment();
}

void ModelMetrics::Finished(const RequestRecord& record) {
  if (record.routing != nullptr) {
    Routed(*record.routing, record.passage.end(Stage::kCombine),
           /*awaited=*/!absl::IsCancelled(record.status));
  }
  if (record.classification == nullptr) return;
  outcomes_[static_cast<size_t>(record.classification->outcome)]->Increment();
  if (record.classification->routing.degraded()) degraded_->Increment();
}

/// `awaited`: the caller stayed; else nobody knows whether who has not answered would have.
void ModelMetrics::Routed(const Routing& routing, core::Clock::time_point now, bool awaited) {
  for (size_t domain = 0; domain < routing.domains.size(); ++domain) {
    const DomainRoute& route = routing.domains[domain];
    gate_probability_[domain]->Increment(std::exp(route.log_probability));
    if (route.activated) routed_[domain]->Increment();
    if (!awaited || !route.missing()) continue;
    const auto reason = static_cast<size_t>(*route.missing_reason);
    missing_[domain * experts::kMissingReasons + reason]->Increment();
  }
  experts_asked_->Observe(static_cast<double>(routing.Activated()));
  window_.Add(routing, now);
}

void ModelMetrics::Refresh(core::Clock::time_point now) {
  const RoutingWindow::Summary summary = window_.Summarise(now);
  for (size_t domain = 0; domain < load_share_.size(); ++domain) {
    load_share_[domain]->Set(summary.load_share[domain]);
  }
  cv_squared_->Set(summary.health.cv_squared);
  max_over_mean_->Set(summary.health.max_over_mean);
  entropy_->Set(summary.health.normalised_entropy);
  balance_loss_->Set(summary.health.balance_loss);
}

}  // namespace orchard::router
