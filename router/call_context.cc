#include "router/call_context.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"

#include "router/options.h"
#include "server/log.h"

namespace orchard::router {
namespace {

constexpr size_t kMaxRequestId = 128;

std::string RandomId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrFormat("%016x", random());
}

}  // namespace

std::optional<core::Clock::time_point> DeadlineOf(const grpc::CallbackServerContext& context) {
  using std::chrono::system_clock;
  const system_clock::time_point deadline = context.deadline();
  const system_clock::time_point now = system_clock::now();
  // "None" is the far end of gRPC's clock. A day is beyond what the pipeline allows anyway, and the
  // arithmetic of clocks must not overflow.
  if (deadline == system_clock::time_point::max()) return std::nullopt;
  if (deadline > now + std::chrono::hours(24)) return core::Clock::now() + std::chrono::hours(24);
  return core::Clock::now() + std::chrono::duration_cast<core::Clock::duration>(deadline - now);
}

std::string RequestIdOf(const grpc::CallbackServerContext& context) {
  const auto given = context.client_metadata().find(kRequestIdKey);
  if (given == context.client_metadata().end()) return RandomId();
  const grpc::string_ref id = given->second;
  const bool printable =
      std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (id.empty() || id.size() > kMaxRequestId || !printable) return RandomId();
  return {id.data(), id.size()};
}

RequestLine::RequestLine(const char* event, std::string request_id, size_t bytes,
                         core::Clock::duration took, const absl::StatusOr<Classification>& answer)
    : event_(event),
      request_id_(std::move(request_id)),
      bytes_(bytes),
      ms_(core::Milliseconds(took)),
      code_(answer.status().code()),
      reason_(answer.status().message()) {
  if (!answer.ok()) return;
  policy_ = answer->routing.policy;
  outcome_ = answer->outcome;
  experts_ = answer->routing.Activated();
  degraded_ = answer->routing.degraded();
}

void RequestLine::Write() const {
  using server::LogLevel;
  if (code_ == absl::StatusCode::kOk) {
    server::Log(LogLevel::kInfo, event_,
                {{"request_id", request_id_},
                 {"code", code_},
                 {"ms", ms_},
                 {"bytes", bytes_},
                 {"policy", v1::Policy_Name(ToWire(policy_))},
                 {"experts", experts_},
                 {"outcome", moe::Name(outcome_)},
                 {"degraded", degraded_}});
  } else {
    server::Log(LogLevel::kInfo, event_,
                {{"request_id", request_id_},
                 {"code", code_},
                 {"ms", ms_},
                 {"bytes", bytes_},
                 {"reason", reason_}});
  }
}

}  // namespace orchard::router
