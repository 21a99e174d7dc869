#include "server/grpc_status.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace orchard::server {
namespace {

constexpr size_t kMaxMessageBytes = 2048;
constexpr std::string_view kCut = " ...";

/// Cuts between letters: a broken UTF-8 sequence would upset clients that decode it.
std::string Shorten(absl::string_view message) {
  if (message.size() <= kMaxMessageBytes) return std::string(message);
  size_t end = kMaxMessageBytes - kCut.size();
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0U) == 0x80U) --end;
  return absl::StrCat(message.substr(0, end), std::string(kCut));
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
