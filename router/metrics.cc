#include "router/metrics.h"

#include <algorithm>
#include <cmath>

#include "rpc/status.h"
#include "server/metrics.h"

namespace orchard::router {
namespace {

using prometheus::Labels;
using prometheus::Registry;

constexpr std::array<const char*, Metrics::kMethods> kMethodNames = {"Classify", "ClassifyStream",
                                                                     "DescribeModel"};
constexpr std::array<const char*, Metrics::kStages> kStageNames = {"decode", "queue", "encode",
                                                                   "experts", "combine"};
constexpr std::array kOutcomes = {moe::Outcome::kOk, moe::Outcome::kLowConfidence,
                                  moe::Outcome::kUnknownDomain};

prometheus::Family<prometheus::Counter>& CounterFamily(Registry& registry, const char* name,
                                                       const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& GaugeFamily(Registry& registry, const char* name,
                                                   const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& HistogramFamily(Registry& registry, const char* name,
                                                           const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

std::string CodeName(size_t code) {
  return std::string(rpc::CodeName(static_cast<absl::StatusCode>(code)));
}

}  // namespace

Metrics::Metrics(Registry& registry, std::span<const std::string> domains, const ModelInfo& model,
                 core::Clock::duration window)
    : window_(domains.size(), window) {
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
  for (const char* method : kMethodNames) {
    for (size_t code = 0; code < kCodes; ++code) {
      requests_.push_back(&requests.Add({{"method", method}, {"code", CodeName(code)}}));
    }
    request_durations_.push_back(&durations.Add({{"method", method}}, server::SecondsBuckets()));
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
  auto& mismatches = CounterFamily(registry, "orchard_fingerprint_mismatches_total",
                                   "Endpoints found to serve an expert of another encoder.");
  for (const std::string& domain : domains) {
    const Labels labels = {{"domain", domain}};
    routed_.push_back(&routed.Add(labels));
    gate_probability_.push_back(&mass.Add(labels));
    fingerprint_mismatches_.push_back(&mismatches.Add(labels));
    expert_durations_.push_back(&durations.Add(labels, server::SecondsBuckets()));
    for (size_t code = 0; code < kCodes; ++code) {
      expert_calls_.push_back(&calls.Add({{"domain", domain}, {"code", CodeName(code)}}));
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
}

void Metrics::RegisterWindow(Registry& registry, std::span<const std::string> domains) {
  auto& share = GaugeFamily(registry, "orchard_window_load_share",
                            "Share of a domain in all activations of the last minute.");
  for (const std::string& domain : domains) {
    load_share_.push_back(&share.Add({{"domain", domain}}));
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
  requests_[method * kCodes + known]->Increment();
  request_durations_[method]->Observe(core::Seconds(took));
}

void Metrics::Stage(StageName stage, core::Clock::duration took) {
  stage_durations_[stage]->Observe(core::Seconds(took));
}

void Metrics::MicroBatch(size_t pictures) { micro_batch_->Observe(static_cast<double>(pictures)); }

void Metrics::ExpertCall(size_t domain, absl::StatusCode code, core::Clock::duration took) {
  const size_t known = std::min(static_cast<size_t>(code), kCodes - 1);
  expert_calls_[domain * kCodes + known]->Increment();
  expert_durations_[domain]->Observe(core::Seconds(took));
}

void Metrics::FingerprintMismatch(size_t domain) { fingerprint_mismatches_[domain]->Increment(); }

void Metrics::Routed(const std::vector<bool>& activated, std::span<const double> log_domain,
                     core::Clock::time_point now) {
  for (size_t domain = 0; domain < log_domain.size(); ++domain) {
    if (activated[domain]) routed_[domain]->Increment();
    gate_probability_[domain]->Increment(std::exp(log_domain[domain]));
  }
  experts_asked_->Observe(static_cast<double>(std::ranges::count(activated, true)));
  window_.Add(activated, log_domain, now);
}

void Metrics::Answered(moe::Outcome outcome, bool degraded) {
  outcomes_[static_cast<size_t>(outcome)]->Increment();
  if (degraded) degraded_->Increment();
}

void Metrics::Refresh(const Load& load, core::Clock::time_point now) {
  in_flight_->Set(static_cast<double>(load.in_flight));
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
