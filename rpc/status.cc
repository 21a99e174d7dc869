#include "rpc/status.h"

#include <charconv>
#include <cstdint>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

#include "core/text.h"

namespace orchard::rpc {
namespace {

constexpr size_t kMaxMessageBytes = 2048;
constexpr size_t kMaxMessageBytesBesideDetails = 1024;
constexpr size_t kMaxDetailBytes = 1536;
constexpr size_t kMaxMetadataBytes = 256;
constexpr std::string_view kCut = " ...";

constexpr absl::string_view kTypePrefix = "type.googleapis.com/";
constexpr char kErrorInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr char kDomain[] = "orchard";

/// Within the process only: RetryInfo has no word for "not again".
constexpr char kPushback[] = "orchard.rpc/pushback-ms";

std::string Shorten(absl::string_view message, size_t most) {
  if (message.size() <= most) return std::string(message);
  std::string shorter(core::CutAtCharacter({message.data(), message.size()}, most - kCut.size()));
  return shorter.append(kCut);
}

grpc::StatusCode WireCode(absl::StatusCode code) {
  // Both enumerations are the canonical codes of google.rpc.Code, number for number.
  return code == absl::StatusCode::kCancelled ? grpc::StatusCode::UNAVAILABLE
                                              : static_cast<grpc::StatusCode>(code);
}

/// The payloads that are for the wire, as far as they fit.
google::rpc::Status DetailsOf(const absl::Status& status) {
  google::rpc::Status details;
  size_t bytes = 0;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (url.substr(0, kTypePrefix.size()) != kTypePrefix) return;
    bytes += url.size() + payload.size();
    if (bytes > kMaxDetailBytes) return;
    google::protobuf::Any& detail = *details.add_details();
    detail.set_type_url(url.data(), url.size());
    detail.set_value(std::string(payload));
  });
  return details;
}

template <typename Message>
std::optional<Message> PayloadOf(const absl::Status& status, const char* url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

}  // namespace

std::string_view CodeName(absl::StatusCode code) {
  // Literals of our own: absl::StatusCodeToString gives a temporary, and a log field only borrows.
  static constexpr std::string_view kNames[] = {"OK",
                                                "CANCELLED",
                                                "UNKNOWN",
                                                "INVALID_ARGUMENT",
                                                "DEADLINE_EXCEEDED",
                                                "NOT_FOUND",
                                                "ALREADY_EXISTS",
                                                "PERMISSION_DENIED",
                                                "RESOURCE_EXHAUSTED",
                                                "FAILED_PRECONDITION",
                                                "ABORTED",
                                                "OUT_OF_RANGE",
                                                "UNIMPLEMENTED",
                                                "INTERNAL",
                                                "UNAVAILABLE",
                                                "DATA_LOSS",
                                                "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : std::string_view("UNKNOWN");
}

std::string_view ReasonOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return kInvalid;
    case absl::StatusCode::kResourceExhausted:
      return kOverloaded;
    case absl::StatusCode::kDeadlineExceeded:
      return kDeadline;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:  // On the wire it is UNAVAILABLE (ToGrpc).
      return kDraining;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
      return kForeign;
    default:
      return kInternal;
  }
}

absl::Status WithErrorInfo(absl::Status status, std::string_view reason,
                           const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason.data(), reason.size());
  info.set_domain(kDomain);
  for (const auto& [key, value] : metadata) {
    (*info.mutable_metadata())[key] = Shorten(value, kMaxMetadataBytes);
  }
  status.SetPayload(kErrorInfo, absl::Cord(info.SerializeAsString()));  // Nothing on OK.
  return status;
}

std::optional<ErrorInfo> ErrorInfoOf(const absl::Status& status) {
  const auto info = PayloadOf<google::rpc::ErrorInfo>(status, kErrorInfo);
  if (!info || info->domain() != kDomain) return std::nullopt;
  return ErrorInfo{.reason = info->reason(),
                   .metadata = {info->metadata().begin(), info->metadata().end()}};
}

absl::Status WithPushback(absl::Status status, std::chrono::milliseconds pushback) {
  status.SetPayload(kPushback, absl::Cord(absl::StrCat(pushback.count())));
  status.ErasePayload(kRetryInfo);
  if (pushback.count() >= 0) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(pushback.count() / 1000);
    info.mutable_retry_delay()->set_nanos(static_cast<int>(pushback.count() % 1000) * 1'000'000);
    status.SetPayload(kRetryInfo, absl::Cord(info.SerializeAsString()));
  }
  return status;
}

std::optional<std::chrono::milliseconds> PushbackOf(const absl::Status& status) {
  if (const absl::optional<absl::Cord> own = status.GetPayload(kPushback); own.has_value()) {
    const std::string text(*own);
    std::int64_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return std::chrono::milliseconds(count);
  }
  const auto info = PayloadOf<google::rpc::RetryInfo>(status, kRetryInfo);
  if (!info || info->retry_delay().seconds() < 0 || info->retry_delay().nanos() < 0) {
    return std::nullopt;
  }
  return std::chrono::seconds(info->retry_delay().seconds()) +
         std::chrono::milliseconds(info->retry_delay().nanos() / 1'000'000);
}

std::optional<std::chrono::milliseconds> PushbackOf(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(kRetryPushbackTrailer);
  if (found == trailers.end()) return std::nullopt;
  std::int32_t count = 0;
  const char* const end = found->second.data() + found->second.size();
  const auto [stop, error] = std::from_chars(found->second.data(), end, count);
  if (error != std::errc{} || stop != end) return std::chrono::milliseconds(-1);
  return std::chrono::milliseconds(count);
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details = DetailsOf(status);
  const grpc::StatusCode code = WireCode(status.code());
  if (details.details().empty()) return {code, Shorten(status.message(), kMaxMessageBytes)};
  // The same code and message as the call's own: libraries of other languages insist on it.
  details.set_code(code);
  details.set_message(Shorten(status.message(), kMaxMessageBytesBesideDetails));
  return {code, details.message(), details.SerializeAsString()};
}

grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase& context,
                    std::chrono::milliseconds pushback) {
  std::optional<std::chrono::milliseconds> told = PushbackOf(status);
  if (!told && absl::IsResourceExhausted(status)) told = pushback;
  if (told) context.AddTrailingMetadata(kRetryPushbackTrailer, std::to_string(told->count()));
  return ToGrpc(status);
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = status.error_code();
  const bool known = code > 0 && code <= grpc::StatusCode::UNAUTHENTICATED;
  absl::Status ours(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                    status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return ours;
  for (const google::protobuf::Any& detail : details.details()) {
    const absl::string_view url = detail.type_url();
    if (url.substr(0, kTypePrefix.size()) == kTypePrefix) {
      ours.SetPayload(url, absl::Cord(detail.value()));
    }
  }
  return ours;
}

}  // namespace orchard::rpc
