#include "clients/cpp/bench/tally.h"

#include <chrono>

#include "rpc/status.h"

namespace orchard::client {
namespace {

Tally::Duration FromMilliseconds(double milliseconds) {
  return std::chrono::duration_cast<Tally::Duration>(
      std::chrono::duration<double, std::milli>(milliseconds));
}

}  // namespace

void Tally::Sent(Duration behind_plan) {
  ++sent;
  lag.Record(behind_plan);
}

void Tally::Answered(const v1::ClassifyResponse& response, Duration after, Duration slo) {
  ++ok;
  if (after <= slo) ++good;
  if (response.degraded()) ++degraded;
  ++outcomes[v1::Outcome_Name(response.outcome())];
  for (const v1::DomainRouting& domain : response.routing().domains()) {
    if (domain.activated()) ++experts_asked;
  }
  const v1::StageTimings& timings = response.timings();
  latency.Record(after);
  without_decode.Record(after - FromMilliseconds(timings.decode_ms()));
  const std::array<double, kStages.size()> times = {timings.decode_ms(),  timings.queue_ms(),
                                                    timings.encode_ms(),  timings.experts_ms(),
                                                    timings.combine_ms(), timings.total_ms()};
  for (size_t i = 0; i < times.size(); ++i) stages[i].Record(FromMilliseconds(times[i]));
}

void Tally::Failed(const absl::Status& status, Duration after) {
  if (failed++ == 0) an_error = std::string(status.message());
  ++errors[std::string(rpc::CodeName(status.code()))];
  const auto info = rpc::ErrorInfoOf(status);
  if (info && !info->reason.empty()) ++reasons[info->reason];
  failed_latency.Record(after);
}

}  // namespace orchard::client
