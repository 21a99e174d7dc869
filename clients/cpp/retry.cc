#include "clients/cpp/retry.h"

#include <algorithm>

#include "rpc/status.h"

namespace orchard::client {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{50};
constexpr std::chrono::milliseconds kMostBackoff{1'000};

bool IsGone(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status);
}

bool HasNoExpert(const absl::Status& status) {
  const auto info = rpc::ErrorInfoOf(status);
  return info && info->reason == rpc::kNoExpert;
}

}  // namespace

Next Judge(const Failure& failure) {
  if (failure.pushback && failure.pushback->count() < 0) return Next::kGiveUp;
  if (HasNoExpert(failure.status)) return Next::kGiveUp;
  if (IsGone(failure.status)) return Next::kElsewhere;
  if (!absl::IsResourceExhausted(failure.status)) return Next::kGiveUp;
  return failure.pushback ? Next::kLater : Next::kElsewhere;
}

bool TurnsAway(const absl::Status& status) {
  return IsGone(status) || absl::IsDeadlineExceeded(status);
}

std::chrono::milliseconds Backoff(size_t round, double chance) {
  const size_t doublings = std::min<size_t>(round == 0 ? 0 : round - 1, 10);
  const auto whole = std::min(kFirstBackoff * (1 << doublings), kMostBackoff);
  const double share = .5 + .5 * std::clamp(chance, 0.0, 1.0);
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(share * static_cast<double>(whole.count())));
}

}  // namespace orchard::client
