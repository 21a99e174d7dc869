#include "router/metrics.h"

#include <algorithm>

#include "router/served_model.h"
#include "rpc/status.h"
#include "server/metrics.h"

namespace orchard::router {
namespace {

using prometheus::Registry;
using server::CounterFamily;
using server::GaugeFamily;
using server::HistogramFamily;

/// The label `stage` of the durations. Waiting between stages is one of them.
enum StageName : std::uint8_t { kDecode, kQueue, kEncode, kExperts, kCombine };
constexpr std::array kStageNames = {"decode", "queue", "encode", "experts", "combine"};
constexpr std::array<const char*, Metrics::kPools> kPoolNames = {"decode", "encode", "combine"};

std::string CodeName(size_t code) {
  return std::string(rpc::CodeName(static_cast<absl::StatusCode>(code)));
}

}  // namespace

Metrics::Metrics(Registry& registry) : admission_(registry) {
  RegisterRequests(registry);
  RegisterPictures(registry);
  RegisterLoad(registry);
  Refresh({});
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

void Metrics::RegisterPictures(Registry& registry) {
  auto& stages = HistogramFamily(registry, "orchard_stage_duration_seconds",
                                 "Time that a picture spent in a stage.");
  for (const char* stage : kStageNames) {
    stage_durations_.push_back(&stages.Add({{"stage", stage}}, server::SecondsBuckets()));
  }
  micro_batch_ = &HistogramFamily(registry, "orchard_micro_batch_size",
                                  "Pictures that one forward pass of the encoder took.")
                      .Add({}, server::BatchSizeBuckets());
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

void Metrics::Request(Method method, absl::StatusCode code, core::Clock::duration took) {
  const size_t known = std::min(static_cast<size_t>(code), kCodes - 1);
  const auto index = static_cast<size_t>(method);
  requests_[index * kCodes + known]->Increment();
  request_durations_[index]->Observe(core::Seconds(took));
}

void Metrics::MicroBatch(size_t pictures) { micro_batch_->Observe(static_cast<double>(pictures)); }

void Metrics::Finished(const RequestRecord& record) {
  if (record.method) {
    Request(*record.method, record.status.code(), record.passage.Total());
  }
  admission_.Refused(record.status);
  Stages(record.passage);
  if (record.served != nullptr) record.served->metrics().Finished(record);
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

void Metrics::SetCapacity(const Capacity& capacity) {
  in_flight_limit_->Set(static_cast<double>(capacity.in_flight));
  for (size_t pool = 0; pool < kPools; ++pool) {
    workers_[pool]->Set(static_cast<double>(capacity.workers[pool]));
  }
}

void Metrics::Refresh(const Load& load) {
  in_flight_->Set(static_cast<double>(load.in_flight));
  admission_.Refresh(load.admission);
  decode_depth_->Set(static_cast<double>(load.decode_waiting));
  encode_depth_->Set(static_cast<double>(load.encode_waiting));
}

}  // namespace orchard::router
