#include "router/estimates.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "absl/strings/str_format.h"

#include "router/refusal.h"

namespace orchard::router {

using core::Clock;

namespace {

constexpr double kWeight = 0.05;        // of a new wait in the margin
constexpr double kDeviations = 4.0;     // above the mean ratio; of a mean absolute deviation
constexpr double kLargestMargin = 2.0;  // a margin must not refuse what could well be kept
constexpr auto kShortWait = std::chrono::milliseconds(5);  // below it a ratio is noise

Clock::duration Times(Clock::duration time, double factor) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double, Clock::period>(static_cast<double>(time.count()) * factor));
}

}  // namespace

void Estimates::Decoded(size_t bytes, Clock::duration took) {
  core::MutexLock lock(mutex_);
  const auto size = static_cast<double>(bytes);
  decode_.Add(size, took);
  recent_bytes_ = recent_bytes_ == 0.0 ? size : recent_bytes_ + kWeight * (size - recent_bytes_);
}

void Estimates::Encoded(size_t pictures, Clock::duration took) {
  core::MutexLock lock(mutex_);
  encode_.Add(static_cast<double>(pictures), took);
}

void Estimates::Answered(size_t domain, Clock::duration took, size_t model) {
  core::MutexLock lock(mutex_);
  experts_[model].Add(domain, took);
}

void Estimates::Waited(Clock::duration judged, Clock::duration waited) {
  if (judged < kShortWait) return;
  const double ratio = static_cast<double>(waited.count()) / static_cast<double>(judged.count());
  core::MutexLock lock(mutex_);
  deviation_ += kWeight * (std::abs(ratio - ratio_) - deviation_);
  ratio_ += kWeight * (ratio - ratio_);
}

void Estimates::Refused() {
  core::MutexLock lock(mutex_);
  decode_.Refused();
  encode_.Refused();
  for (DomainTimes& experts : experts_) experts.Refused();
}

double Estimates::Margin() const {
  return std::clamp(ratio_ + kDeviations * deviation_, 1.0, kLargestMargin);
}

/// Two stages, one behind the other: a picture is encoded when it is decoded and when the encoder
/// has done all that comes before it, in both stages.
Clock::duration Estimates::Busy::Wait(Clock::duration decoding) const {
  return std::max(decoders + decoding, encoders) - decoding;
}

/// Work in progress is half done on average.
Estimates::Busy Estimates::BusyWith(const Backlog& backlog) const {
  const auto waiting = static_cast<double>(backlog.waiting);
  const double mean = backlog.waiting == 0 ? 0.0 : backlog.waiting_bytes / waiting;
  const Clock::duration decode_ahead =
      decode_.Of(waiting, mean) +
      decode_.Of(static_cast<double>(backlog.decoding) / 2.0, recent_bytes_);
  const bool a_decoder_is_free = backlog.waiting == 0 && backlog.decoding < workers_.decode;

  const auto encoders = static_cast<double>(workers_.encode);
  const double pictures =
      static_cast<double>(backlog.waiting + backlog.decoding + backlog.decoded) +
      static_cast<double>(backlog.encoding) / 2.0;
  const double pass = std::clamp(pictures / encoders, 1.0, static_cast<double>(workers_.max_batch));
  const bool an_encoder_is_free = pictures + 0.5 < encoders;
  return {.decoders = a_decoder_is_free ? Clock::duration::zero()
                                        : decode_ahead / static_cast<Clock::rep>(workers_.decode),
          .encoders = an_encoder_is_free ? Clock::duration::zero()
                                         : encode_.Of(pictures / pass / encoders, pass)};
}

Clock::duration Estimates::Decoding(size_t bytes) const {
  return decode_.Of(static_cast<double>(bytes));
}

Clock::duration Estimates::Behind(const Backlog& backlog, Clock::duration wait) const {
  // Under load it shares its forward pass.
  const size_t mates = (backlog.waiting + backlog.decoding + backlog.decoded) / workers_.encode;
  const auto pass = static_cast<double>(std::clamp<size_t>(mates, 1, workers_.max_batch));
  return Times(wait + encode_.Of(pass) - encode_.Of(1.0), Margin());
}

Needed Estimates::OfNew(const Backlog& backlog, size_t bytes, size_t model) const {
  core::MutexLock lock(mutex_);
  const Clock::duration decoding = Decoding(bytes);
  return {.waiting = Behind(backlog, BusyWith(backlog).Wait(decoding)),
          .own = decoding + encode_.Of(1.0) + experts_[model].Quick()};
}

/// The size that needs the least is not the smallest: while the encoder works for others, decoding
/// costs nothing, and shortens the wait, which the margin multiplies.
Needed Estimates::OfUnseen(const Backlog& backlog, size_t largest) const {
  core::MutexLock lock(mutex_);
  const Busy busy = BusyWith(backlog);
  const Clock::duration decoding =
      std::max(Decoding(1), std::min(busy.encoders - busy.decoders, Decoding(largest)));
  Clock::duration experts = Clock::duration::max();
  for (const DomainTimes& model : experts_) experts = std::min(experts, model.Quick());
  return {.waiting = Behind(backlog, busy.Wait(decoding)),
          .own = decoding + encode_.Of(1.0) + experts};
}

Clock::duration Estimates::WaitBehind(const Backlog& backlog, size_t bytes) const {
  core::MutexLock lock(mutex_);
  return BusyWith(backlog).Wait(Decoding(bytes));
}

Clock::duration Estimates::FromDecode(size_t bytes, size_t model) const {
  core::MutexLock lock(mutex_);
  return Decoding(bytes) + encode_.Of(1.0) + experts_[model].Quick();
}

Clock::duration Estimates::FromEncode(size_t pictures, size_t model) const {
  core::MutexLock lock(mutex_);
  return encode_.Of(static_cast<double>(pictures)) + experts_[model].Quick();
}

Clock::duration Estimates::OfExperts(size_t model) const {
  core::MutexLock lock(mutex_);
  return experts_[model].Quick();
}

Estimates::Figures Estimates::figures() const {
  core::MutexLock lock(mutex_);
  Clock::duration experts{};
  for (const DomainTimes& model : experts_) experts = std::max(experts, model.Quick());
  return {.decode_seconds = core::Seconds(decode_.Of(recent_bytes_)),
          .encode_alpha_seconds = encode_.alpha(),
          .encode_picture_seconds = encode_.beta(),
          .experts_seconds = core::Seconds(experts),
          .wait_margin = Margin()};
}

absl::Status CheckBudget(Clock::time_point now, Clock::time_point until, Clock::duration needed) {
  if (now >= until) {
    return Refusal(
        Shed::kDeadline,
        absl::StrFormat("the deadline passed %.1f ms ago", core::Milliseconds(now - until)), {});
  }
  if (until - now >= needed) return absl::OkStatus();
  return Refusal(Shed::kDeadline,
                 absl::StrFormat("%.1f ms are left, and %.1f ms are needed from here on, judged by "
                                 "recent requests",
                                 core::Milliseconds(until - now), core::Milliseconds(needed)),
                 {});
}

}  // namespace orchard::router
