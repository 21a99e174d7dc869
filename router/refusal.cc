#include "router/refusal.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "rpc/status.h"

namespace orchard::router {
namespace {

constexpr std::array<std::string_view, kSheds> kNames = {
    "in_flight", "caller_share", "batch_priority", "queue", "bytes", "deadline"};

constexpr char kLimitKey[] = "limit";

constexpr std::chrono::milliseconds kSoonest{10};
constexpr std::chrono::milliseconds kLatest{10'000};

}  // namespace

std::string_view Name(Shed reason) { return kNames[static_cast<size_t>(reason)]; }

absl::Status Refusal(Shed reason, std::string_view message, core::Clock::duration room_in) {
  const bool late = reason == Shed::kDeadline;
  const absl::StatusCode code =
      late ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kResourceExhausted;
  absl::Status status = rpc::WithErrorInfo(absl::Status(code, {message.data(), message.size()}),
                                           late ? rpc::kDeadline : rpc::kOverloaded,
                                           {{kLimitKey, std::string(Name(reason))}});
  if (late) return status;
  return rpc::WithPushback(
      std::move(status),
      std::clamp(std::chrono::ceil<std::chrono::milliseconds>(room_in), kSoonest, kLatest));
}

std::optional<Shed> ShedBy(const absl::Status& status) {
  const std::optional<rpc::ErrorInfo> info = rpc::ErrorInfoOf(status);
  if (!info) return std::nullopt;
  const auto limit = info->metadata.find(kLimitKey);
  if (limit == info->metadata.end()) return std::nullopt;
  const auto* const found = std::ranges::find(kNames, limit->second);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Shed>(found - kNames.begin());
}

}  // namespace orchard::router
