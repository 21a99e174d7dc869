#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

/// \file
/// absl::Status ↔ grpc::Status, with what goes along with an error: why, for programs
/// (google.rpc.ErrorInfo), and when to come again. The only place where one becomes the other.

namespace orchard::rpc {

/// The trailer by which a server asks for patience; gRPC's own retries honour it (gRFC A6): a
/// number of milliseconds, or a negative one for "don't try again".
inline constexpr char kRetryPushbackTrailer[] = "grpc-retry-pushback-ms";

/// The canonical name of a code, as the wire, the logs and the metrics say it: "NOT_FOUND". A code
/// that nobody knows is "UNKNOWN".
std::string_view CodeName(absl::StatusCode code);

/// Why a call failed, for programs: google.rpc.ErrorInfo of the domain "orchard".
struct ErrorInfo {
  std::string reason;                           ///< an upper-case word, one of those below
  std::map<std::string, std::string> metadata;  ///< figures and names

  bool operator==(const ErrorInfo&) const = default;
};

/// Reasons: the words of routers and experts alike.
/// The server is well, but none of the chosen experts answered. To ask another server of the same
/// fleet is as good as to ask again.
inline constexpr std::string_view kNoExpert = "NO_EXPERT";
inline constexpr std::string_view kOverloaded = "OVERLOADED";  ///< a limit is reached
inline constexpr std::string_view kDraining = "DRAINING";      ///< the server is going
inline constexpr std::string_view kDeadline = "DEADLINE";      ///< the deadline can't be kept
inline constexpr std::string_view kInvalid = "INVALID";        ///< it is the request's fault
/// The server holds another model, means something else by it, or lacks the domain.
inline constexpr std::string_view kForeign = "FOREIGN";
inline constexpr std::string_view kInternal = "INTERNAL";  ///< all others

/// The reason of an error that says no other.
std::string_view ReasonOf(absl::StatusCode code);

/// The status with an ErrorInfo in its payload "type.googleapis.com/google.rpc.ErrorInfo". A former
/// one is replaced; OK stays OK. Values over 256 bytes are cut.
absl::Status WithErrorInfo(absl::Status status, std::string_view reason,
                           const std::map<std::string, std::string>& metadata = {});

/// The ErrorInfo of a status, of this process or from the wire; nothing when there is none, or one
/// of another domain.
std::optional<ErrorInfo> ErrorInfoOf(const absl::Status& status);

/// The status with a word on when to come again: not before `pushback`, or, when that is negative,
/// not at all. OK stays OK.
absl::Status WithPushback(absl::Status status, std::chrono::milliseconds pushback);

/// What WithPushback said. From the wire only what is not negative comes back (as
/// google.rpc.RetryInfo); a client reads all of it from the call's trailers.
std::optional<std::chrono::milliseconds> PushbackOf(const absl::Status& status);

/// What the server said in kRetryPushbackTrailer; after the call's end. Words that are no number
/// mean "not again", as gRFC A6 has it.
std::optional<std::chrono::milliseconds> PushbackOf(const grpc::ClientContext& context);

/// For the wire. CANCELLED becomes UNAVAILABLE: on our wire CANCELLED can only mean a dying server,
/// so that clients may retry it (serving.md section 1.9). A message over 2 KiB is cut, because
/// trailers over 8 KiB would replace the error by another one. Payloads whose names begin with
/// "type.googleapis.com/" go along as google.rpc.Status (the trailer grpc-status-details-bin), the
/// message is then cut at 1 KiB; details that are over 1.5 KiB in sum are left out.
grpc::Status ToGrpc(const absl::Status& status);

/// The same; the trailer kRetryPushbackTrailer is set to what the status says (WithPushback), or to
/// `pushback` for a RESOURCE_EXHAUSTED that says nothing. Call it before Finish, while `context` is
/// alive.
grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase& context,
                    std::chrono::milliseconds pushback);

/// For us, on the client's side: the same code (an unknown one becomes UNKNOWN), message, and
/// details as payloads.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace orchard::rpc
