#include "router/call_context.h"

#include <cstdint>
#include <iterator>
#include <random>
#include <string_view>

#include "absl/strings/str_format.h"

#include "core/status.h"

namespace orchard::router {
namespace {

std::uint64_t Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::uint64_t number = 0;
  while (number == 0) number = random();  // No id is 0.
  return number;
}

/// The value of a key that comes once; empty otherwise.
std::string_view ValueOf(const grpc::CallbackServerContext& context, const char* key) {
  const auto [first, last] = context.client_metadata().equal_range(key);
  if (first == last || std::next(first) != last) return {};
  return {first->second.data(), first->second.size()};
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

CallIds IdsOf(const grpc::CallbackServerContext& context) {
  const std::string_view id = ValueOf(context, core::kRequestIdKey);
  const std::optional<core::TraceContext> parent =
      core::ParseTraceparent(ValueOf(context, core::kTraceparentKey));
  return {
      .request_id = core::IsRequestId(id) ? std::string(id) : absl::StrFormat("%016x", Random()),
      .trace = SiblingOf(
          parent.value_or(core::TraceContext{.trace_high = Random(), .trace_low = Random()}))};
}

core::TraceContext SiblingOf(const core::TraceContext& trace) {
  core::TraceContext sibling = trace;
  sibling.span = Random();
  return sibling;
}

void AddTrailers(const CallIds& ids, grpc::CallbackServerContext& context) {
  context.AddTrailingMetadata(core::kRequestIdKey, ids.request_id);
  context.AddTrailingMetadata(core::kTraceresponseKey, core::ToTraceparent(ids.trace));
}

absl::Status Choose(const CallServices& services, const v1::ClassifyRequest& request, Job& job) {
  ORCHARD_ASSIGN_OR_RETURN(job.model, services.models.Find(request.model()));
  ORCHARD_ASSIGN_OR_RETURN(job.options,
                           services.pipeline.Parse(request.options(), job.model->catalogue()));
  return absl::OkStatus();
}

}  // namespace orchard::router
