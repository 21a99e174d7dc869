#include "experts/expert_metrics.h"

#include <algorithm>

#include "rpc/status.h"
#include "server/metrics.h"

namespace orchard::experts {
namespace {

using server::CounterFamily;
using server::GaugeFamily;
using server::HistogramFamily;

/// The codes that a Score can end with; the label's closed set.
constexpr absl::StatusCode kScoreCodes[] = {
    absl::StatusCode::kOk,
    absl::StatusCode::kInvalidArgument,
    absl::StatusCode::kDeadlineExceeded,
    absl::StatusCode::kNotFound,
    absl::StatusCode::kResourceExhausted,
    absl::StatusCode::kFailedPrecondition,
    absl::StatusCode::kInternal,
    absl::StatusCode::kUnavailable,
};

constexpr char kStage[] = "score";

std::string Label(absl::StatusCode code) { return std::string(rpc::CodeName(code)); }

}  // namespace

void DomainMetrics::Called(absl::StatusCode code) {
  const auto index = static_cast<size_t>(code);
  prometheus::Counter* const counter = index < kCodes ? calls_[index] : nullptr;
  (counter != nullptr ? counter : calls_[static_cast<size_t>(absl::StatusCode::kInternal)])
      ->Increment();
}

void DomainMetrics::Computed(size_t rows, core::Clock::duration duration) {
  rows_->Increment(static_cast<double>(rows));
  batch_size_->Observe(static_cast<double>(rows));
  compute_->Observe(core::Seconds(duration));
}

void DomainMetrics::Waited(core::Clock::duration duration) {
  queue_->Observe(core::Seconds(duration));
}

ExpertMetrics::ExpertMetrics(prometheus::Registry& registry, const std::vector<ExpertSpec>& specs,
                             const std::string& model, const std::string& version)
    : model_(model), registry_(registry) {
  auto& calls =
      CounterFamily(registry, "orchard_expert_server_calls_total", "Score calls answered.");
  auto& rows =
      CounterFamily(registry, "orchard_expert_server_rows_total", "Rows that were computed.");
  auto& abandoned = CounterFamily(registry, "orchard_expert_server_abandoned_total",
                                  "Calls whose caller did not wait for the answer.");
  auto& mismatches =
      CounterFamily(registry, "orchard_expert_server_fingerprint_mismatches_total",
                    "Calls refused because their features or their meaning are of another model.");
  auto& batch_size = HistogramFamily(registry, "orchard_expert_server_batch_size",
                                     "Rows computed together, of one or more calls.");
  auto& queue = HistogramFamily(registry, "orchard_expert_server_queue_seconds",
                                "From a call's arrival to the start of its batch.");
  auto& compute =
      HistogramFamily(registry, "orchard_expert_server_compute_seconds", "Time of one batch.");

  workers_ =
      &GaugeFamily(registry, "orchard_workers", "Threads of a stage.").Add({{"stage", kStage}});
  auto& busy =
      CounterFamily(registry, "orchard_worker_busy_seconds_total",
                    "Time that the threads of a stage worked; added at the end of a piece.")
          .Add({{"stage", kStage}});
  auto& limits = GaugeFamily(registry, "orchard_expert_server_waiting_limit",
                             "Calls and rows that may wait, per domain; bytes, of all domains.");
  waiting_limits_ = {&limits.Add({{"of", "calls"}}), &limits.Add({{"of", "rows"}}),
                     &limits.Add({{"of", "bytes"}})};

  const auto add_calls = [&](DomainMetrics& metrics, const std::string& domain) {
    for (const absl::StatusCode code : kScoreCodes) {
      metrics.calls_[static_cast<size_t>(code)] =
          &calls.Add({{"model", model}, {"domain", domain}, {"code", Label(code)}});
    }
  };
  for (const ExpertSpec& spec : specs) {
    DomainMetrics& metrics = *domains_.emplace_back(std::make_unique<DomainMetrics>());
    const prometheus::Labels labels{{"model", model}, {"domain", spec.domain}};
    add_calls(metrics, spec.domain);
    metrics.rows_ = &rows.Add(labels);
    metrics.busy_ = &busy;
    metrics.abandoned_ = &abandoned.Add(labels);
    metrics.mismatches_ = &mismatches.Add(labels);
    metrics.batch_size_ = &batch_size.Add(labels, server::BatchSizeBuckets());
    metrics.queue_ = &queue.Add(labels, server::SecondsBuckets());
    metrics.compute_ = &compute.Add(labels, server::SecondsBuckets());
  }
  foreign_ = std::make_unique<DomainMetrics>();
  add_calls(*foreign_, kForeign);
  in_flight_ =
      &GaugeFamily(registry, "orchard_expert_server_in_flight", "Rows waiting or in progress.")
           .Add({});
  GaugeFamily(registry, "orchard_model_info", "The model that is served; always 1.")
      .Add({{"model", model},
            {"version", version},
            {"fingerprint", specs.empty() ? "" : specs.front().encoder_fingerprint}})
      .Set(1);
}

void ExpertMetrics::SetLayerLoad(const std::string& domain, size_t layer,
                                 std::span<const double> shares) {
  constexpr size_t kMostSeries = 64;
  if (layer >= kMostSeries) return;
  auto& load = GaugeFamily(registry_, "orchard_expert_layer_load",
                           "Share of a layer's picks that went to an expert inside a network.");
  for (size_t expert = 0; expert < std::min(shares.size(), kMostSeries); ++expert) {
    load.Add({{"model", model_},
              {"domain", domain},
              {"layer", std::to_string(layer)},
              {"expert", std::to_string(expert)}})
        .Set(shares[expert]);
  }
}

void ExpertMetrics::SetCapacity(const Capacity& capacity) {
  workers_->Set(static_cast<double>(capacity.workers));
  waiting_limits_[0]->Set(static_cast<double>(capacity.waiting_calls));
  waiting_limits_[1]->Set(static_cast<double>(capacity.waiting_rows));
  waiting_limits_[2]->Set(static_cast<double>(capacity.waiting_bytes));
}

}  // namespace orchard::experts
