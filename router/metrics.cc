#include "router/metrics.h"

#include <algorithm>
#include <cmath>

#include "rpc/status.h"
#include "server/metrics.h"

namespace orchard::router {
namespace {

using prometheus::Labels;
using prometheus::Registry;
using server::CounterFamily;
using server::GaugeFamily;
using server::HistogramFamily;

/// The label `stage` of the durations. Waiting between stages is one of them.
enum StageName : std::uint8_t { kDecode, kQueue, kEncode, kExperts, kCombine };
constexpr std::array kStageNames = {"decode", "queue", "encode", "experts", "combine"};
constexpr std::array<const char*, Metrics::kPools> kPoolNames = {"decode", "encode", "combine"};
constexpr std::array kOutcomes = {moe::Outcome::kOk, moe::Outcome::kLowConfidence,
                                  moe::Outcome::kUnknownDomain};

std::string CodeName(size_t code) {
  return std::string(rpc::CodeName(static_cast<absl::StatusCode>(code)));
}

}  // namespace

Metrics::Metrics(Registry& registry, std::span<const std::string> domains, const ModelInfo& model,
                 core::Clock::duration window)
    : model_(model.name),
      window_(domains.size(), window),
      admission_(registry),
      cold_(registry, model.name, domains) {
  RegisterRequests(registry);
  RegisterDomains(registry, domains);
  RegisterPictures(registry, domains.size());
  RegisterLoad(registry);
  RegisterWindow(registry, domains);
  GaugeFamily(registry, "orchard_model_info", "The model that is served; always 1.")
      .Add({{"model", model.name},
            {"version", model.version},
            {"fingerprint", model.encoder_fingerprint}})
      .Set(1.0);
}

void Metrics::RegisterRequests(Registry& registry) {
  auto& requests = CounterFamily(registry, "orchard_requests_total",
                                 "Requests answered; for ClassifyStream, its pictures.");
  auto& durations = HistogramFamily(registry, "orchard_request_duration_seconds",
                                    "From a request's arrival to its answer.");
  for (const Method method : kMethods) {
    const std::string name(Name(method));
    for (size_t code = 0; code < kCodes; ++code) {
      requests_.push_back(&requests.Add({{"method", name}, {"code", CodeName(code)}}));
    }
    request_durations_.push_back(&durations.Add({{"method", name}}, server::SecondsBuckets()));
  }
}

void Metrics::RegisterDomains(Registry& registry, std::span<const std::string> domains) {
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

void Metrics::RegisterPictures(Registry& registry, size_t domains) {
  auto& stages = HistogramFamily(registry, "orchard_stage_duration_seconds",
                                 "Time that a picture spent in a stage.");
  for (const char* stage : kStageNames) {
    stage_durations_.push_back(&stages.Add({{"stage", stage}}, server::SecondsBuckets()));
  }
  micro_batch_ = &HistogramFamily(registry, "orchard_micro_batch_size",
                                  "Pictures that one forward pass of the encoder took.")
                      .Add({}, server::BatchSizeBuckets());
  prometheus::Histogram::BucketBoundaries counts;
  for (size_t count = 0; count <= domains; ++count) counts.push_back(static_cast<double>(count));
  experts_asked_ =
      &HistogramFamily(registry, "orchard_experts_asked", "Experts activated for a picture.")
           .Add({}, counts);
  auto& outcomes =
      CounterFamily(registry, "orchard_outcomes_total", "Pictures classified, by outcome.");
  for (const moe::Outcome outcome : kOutcomes) {
    outcomes_.push_back(&outcomes.Add({{"outcome", std::string(moe::Name(outcome))}}));
  }
  degraded_ = &CounterFamily(registry, "orchard_degraded_total",
                             "Pictures classified without all experts that were chosen.")
                   .Add({});
}

void Metrics::RegisterLoad(Registry& registry) {
  in_flight_ = &GaugeFamily(registry, "orchard_in_flight", "Requests in progress.").Add({});
  auto& depth = GaugeFamily(registry, "orchard_queue_depth", "Requests that wait for a stage.");
  decode_depth_ = &depth.Add({{"stage", "decode"}});
  encode_depth_ = &depth.Add({{"stage", "encode"}});
  in_flight_limit_ = &GaugeFamily(registry, "orchard_in_flight_limit",
                                  "Requests that may be in progress: --in-flight.")
                          .Add({});
  auto& workers = GaugeFamily(registry, "orchard_workers", "Threads of a stage.");
  auto& busy =
      CounterFamily(registry, "orchard_worker_busy_seconds_total",
                    "Time that the threads of a stage worked; added at the end of a piece.");
  for (const char* pool : kPoolNames) {
    workers_.push_back(&workers.Add({{"stage", pool}}));
    busy_.push_back(&busy.Add({{"stage", pool}}));
  }
}

void Metrics::RegisterWindow(Registry& registry, std::span<const std::string> domains) {
  auto& share = GaugeFamily(registry, "orchard_window_load_share",
                            "Share of a domain in all activations of the last minute.");
  for (const std::string& domain : domains) {
    load_share_.push_back(&share.Add({{"model", model_}, {"domain", domain}}));
  }
  const auto gauge = [&](const char* name, const char* help) {
    return &GaugeFamily(registry, name, help).Add({});
  };
  cv_squared_ = gauge("orchard_window_load_cv_squared",
                      "Squared coefficient of variation of the experts' load; 0 is even.");
  max_over_mean_ = gauge("orchard_window_load_max_over_mean",
                         "Load of the busiest expert over the mean; 1 is even.");
  entropy_ = gauge("orchard_window_load_entropy",
                   "Entropy of the experts' load over its maximum; 1 is even.");
  balance_loss_ = gauge("orchard_window_balance_loss",
                        "Experts times the sum of load share times gate share; 1 is even.");
  Refresh({}, core::Clock::now());
}

void Metrics::Request(Method method, absl::StatusCode code, core::Clock::duration took) {
  const size_t known = std::min(static_cast<size_t>(code), kCodes - 1);
  const auto index = static_cast<size_t>(method);
  requests_[index * kCodes + known]->Increment();
  request_durations_[index]->Observe(core::Seconds(took));
}

void Metrics::MicroBatch(size_t pictures) { micro_batch_->Observe(static_cast<double>(pictures)); }

void Metrics::ExpertCall(size_t domain, absl::StatusCode code, core::Clock::duration took) {
  const size_t known = std::min(static_cast<size_t>(code), kCodes - 1);
  expert_calls_[domain * kCodes + known]->Increment();
  expert_durations_[domain]->Observe(core::Seconds(took));
}

void Metrics::FingerprintMismatch(size_t domain) { fingerprint_mismatches_[domain]->Increment(); }

void Metrics::Finished(const RequestRecord& record) {
  if (record.method) {
    Request(*record.method, record.status.code(), record.passage.Total());
  }
  admission_.Refused(record.status);
  Stages(record.passage);
  if (record.routing != nullptr) {
    Routed(*record.routing, record.passage.end(Stage::kCombine),
           /*awaited=*/!absl::IsCancelled(record.status));
  }
  if (record.classification == nullptr) return;
  outcomes_[static_cast<size_t>(record.classification->outcome)]->Increment();
  if (record.classification->routing.degraded()) degraded_->Increment();
}

/// Every stage that it reached, whether it came out of it or ended there.
void Metrics::Stages(const Passage& passage) {
  const auto observe = [&](StageName name, core::Clock::duration took) {
    stage_durations_[name]->Observe(core::Seconds(took));
  };
  if (passage.Reached(Stage::kDecodeQueue)) observe(kQueue, passage.Queued());
  if (passage.Reached(Stage::kDecode)) observe(StageName::kDecode, passage.In(Stage::kDecode));
  if (passage.Reached(Stage::kEncode)) observe(StageName::kEncode, passage.In(Stage::kEncode));
  if (passage.Reached(Stage::kExperts)) observe(kExperts, passage.In(Stage::kExperts));
  if (passage.Reached(Stage::kCombine)) observe(StageName::kCombine, passage.In(Stage::kCombine));
}

/// `awaited`: the caller stayed; else nobody knows whether who has not answered would have.
void Metrics::Routed(const Routing& routing, core::Clock::time_point now, bool awaited) {
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

void Metrics::SetCapacity(const Capacity& capacity) {
  in_flight_limit_->Set(static_cast<double>(capacity.in_flight));
  for (size_t pool = 0; pool < kPools; ++pool) {
    workers_[pool]->Set(static_cast<double>(capacity.workers[pool]));
  }
}

void Metrics::Refresh(const Load& load, core::Clock::time_point now) {
  in_flight_->Set(static_cast<double>(load.in_flight));
  admission_.Refresh(load.admission);
  decode_depth_->Set(static_cast<double>(load.decode_waiting));
  encode_depth_->Set(static_cast<double>(load.encode_waiting));
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
