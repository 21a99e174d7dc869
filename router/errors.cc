#include "router/errors.h"

#include <map>
#include <optional>
#include <string>

#include "rpc/status.h"

namespace orchard::router {
namespace {

constexpr char kTraceId[] = "trace_id";

}  // namespace

absl::Status NoExpertError(std::string_view message, std::string_view domains) {
  return rpc::WithPushback(
      rpc::WithErrorInfo(absl::UnavailableError(absl::string_view(message.data(), message.size())),
                         rpc::kNoExpert, {{"domains", std::string(domains)}}),
      std::chrono::milliseconds(-1));
}

absl::Status DrainingError() {
  return absl::UnavailableError(
      "draining: the server ends; send again elsewhere what has no answer");
}

absl::Status ForCaller(const absl::Status& status, std::string_view request_id,
                       const core::TraceContext& trace) {
  if (status.ok()) return status;
  rpc::ErrorInfo info = rpc::ErrorInfoOf(status).value_or(
      rpc::ErrorInfo{.reason = std::string(rpc::ReasonOf(status.code())), .metadata = {}});
  info.metadata["request_id"] = std::string(request_id);
  info.metadata[kTraceId] = core::TraceId(trace);
  absl::Status told = rpc::WithErrorInfo(status, info.reason, info.metadata);
  if (!absl::IsResourceExhausted(told) || rpc::PushbackOf(told)) return told;
  return rpc::WithPushback(std::move(told), kPushback);
}

v1::CallError ToCallError(const absl::Status& status) {
  const grpc::Status error = rpc::ToGrpc(status);
  v1::CallError message;
  message.set_code(error.error_code());
  message.set_message(error.error_message());
  if (const auto pushback = rpc::PushbackOf(status)) {
    message.set_retry_pushback_ms(pushback->count());
  }
  if (const std::optional<rpc::ErrorInfo> info = rpc::ErrorInfoOf(status)) {
    message.set_reason(info->reason);
    const auto trace = info->metadata.find(kTraceId);
    if (trace != info->metadata.end()) message.set_trace_id(trace->second);
  }
  return message;
}

}  // namespace orchard::router
