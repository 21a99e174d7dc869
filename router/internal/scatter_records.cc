// What is told of a micro-batch's calls: to records, metrics and the log.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/trace_context.h"
#include "router/internal/scatter_run.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

/// What is told of a call, `now` that the waiting for it ends. Attempts that are still out end too.
CallRecord Scatter::RecordOf(const Call& call, absl::StatusCode code, Clock::time_point now) const {
  const absl::StatusCode given_up = code == absl::StatusCode::kDeadlineExceeded
                                        ? absl::StatusCode::kDeadlineExceeded
                                        : absl::StatusCode::kCancelled;
  return {.domain = call.domain,
          .rows = call.rows.size(),
          .begin = call.begin,
          .end = now,
          .code = code,
          .part_version = {},
          .attempts = std::make_shared<const std::vector<experts::AttemptRecord>>(
              call.attempts->Snapshot(now, given_up))};
}

void Scatter::Keep(size_t row, const CallRecord& record) {
  std::vector<CallRecord>& calls = pictures_[row].request->waves.back().calls;
  *std::ranges::find(calls, record.domain, &CallRecord::domain) = record;
}

void Scatter::Report(const Call& call, Clock::duration took, const absl::Status& status,
                     experts::MissingReason reason) {
  model_->metrics().ExpertCall(call.domain, status.code(), took);
  if (status.ok() || absl::IsCancelled(status)) return;
  const Request* request = nullptr;  // One that waited for it.
  for (const size_t row : call.rows) {
    if (request == nullptr) request = pictures_[row].request.get();
  }
  if (request == nullptr) return;
  const absl::string_view why = status.message();
  const std::string& domain = model_->catalogue().domains[call.domain];
  server::LogLimited(server::LogLevel::kWarning, "expert_failed",
                     domain + " " + std::string(experts::Name(reason)),
                     {{"domain", domain},
                      {"missing", experts::Name(reason)},
                      {"request_id", request->id},
                      {"trace_id", core::TraceId(request->trace)},
                      {"code", status.code()},
                      {"rows", call.rows.size()},
                      {"ms", core::Milliseconds(took)},
                      {"reason", std::string_view(why.data(), why.size())}});
}

}  // namespace orchard::router
