#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"

#include "clients/cpp/bench/histogram.h"
#include "core/clock.h"
#include "orchard/v1/classifier.pb.h"

namespace orchard::client {

/// The stages of a server's StageTimings, in its order; the last one is the whole.
inline constexpr std::array<std::string_view, 6> kStages = {"decode",  "queue",   "encode",
                                                            "experts", "combine", "total"};

/// What became of the requests of a measured window. Every planned request ends in one of five
/// ways, and they sum up: planned = ok + failed + not_sent + lost + whatever is still under way.
/// Not thread-safe.
struct Tally {
  using Duration = core::Clock::duration;

  std::uint64_t planned = 0;
  std::uint64_t sent = 0;
  std::uint64_t not_sent = 0;  ///< due, while as many were outstanding as are allowed
  std::uint64_t lost = 0;      ///< sent, and given up without an answer when the run was ended
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;
  std::uint64_t good = 0;                         ///< of `ok`: answered within the SLO
  std::uint64_t degraded = 0;                     ///< of `ok`
  std::uint64_t experts_asked = 0;                ///< of `ok`: experts that were chosen, summed
  std::map<std::string, std::uint64_t> outcomes;  ///< of `ok`, by Outcome
  std::map<std::string, std::uint64_t> errors;    ///< of `failed`, by code
  std::map<std::string, std::uint64_t> reasons;   ///< of `failed`, by ErrorInfo.reason where given
  std::string an_error;                           ///< the first failure's message

  Histogram latency;         ///< of `ok`: planned to answered
  Histogram without_decode;  ///< of `ok`: the same less the server's decoding
  Histogram failed_latency;  ///< of `failed`: planned to told
  Histogram lag;             ///< of `sent`: planned to sent; what the client itself was late
  std::array<Histogram, kStages.size()> stages;  ///< of `ok`: as the server says

  void Sent(Duration behind_plan);

  /// An answer that came `after` it was planned.
  void Answered(const v1::ClassifyResponse& response, Duration after, Duration slo);

  /// Another end, told `after` it was planned.
  void Failed(const absl::Status& status, Duration after);
};

}  // namespace orchard::client
