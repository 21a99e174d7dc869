#include "server/grpc_status.h"

#include <string>
#include <string_view>

#include "core/text.h"

namespace orchard::server {
namespace {

constexpr size_t kMaxMessageBytes = 2048;
constexpr std::string_view kCut = " ...";

std::string Shorten(absl::string_view message) {
  if (message.size() <= kMaxMessageBytes) return std::string(message);
  std::string shorter(
      core::CutAtCharacter({message.data(), message.size()}, kMaxMessageBytes - kCut.size()));
  return shorter.append(kCut);
}

}  // namespace

// Both enumerations are the canonical codes of google.rpc.Code, number for number.
grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = status.code() == absl::StatusCode::kCancelled
                        ? grpc::StatusCode::UNAVAILABLE
                        : static_cast<grpc::StatusCode>(status.code());
  return {code, Shorten(status.message())};
}

grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase& context,
                    std::chrono::milliseconds pushback) {
  if (absl::IsResourceExhausted(status)) {
    context.AddTrailingMetadata(kRetryPushbackTrailer, std::to_string(pushback.count()));
  }
  return ToGrpc(status);
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = status.error_code();
  const bool known = code > 0 && code <= grpc::StatusCode::UNAUTHENTICATED;
  return {known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
          status.error_message()};
}

}  // namespace orchard::server
