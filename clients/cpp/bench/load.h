#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "clients/cpp/bench/tally.h"
#include "clients/cpp/client.h"
#include "core/clock.h"
#include "orchard/v1/classifier.pb.h"

namespace orchard::client {

/// What is asked, how, and for how long.
struct LoadPlan {
  std::optional<double> rate;  ///< open loop: requests a second, > 0, Poisson arrivals by `seed`
  std::uint64_t seed = 1;
  size_t concurrency = 4;  ///< closed loop: so many requests under way, each the next one's start

  std::chrono::milliseconds warm_up{1'000};  ///< at the same load; counted nowhere
  /// How long requests are planned after the warm-up; where `requests` is given, until so many are.
  std::chrono::milliseconds duration{10'000};
  std::optional<std::uint64_t> requests;

  std::chrono::milliseconds timeout{10'000};  ///< of a request, from the time it was planned for
  std::chrono::milliseconds slo{10'000};      ///< an answer within it is a good one
  size_t max_outstanding = 10'000;  ///< open loop: a request that is due above it is not sent
  size_t connections = 1;           ///< to each server; requests go round them all
};

struct LoadResult {
  Tally tally;
  std::chrono::duration<double> window{0.0};  ///< what rates are counted over, s
  std::uint64_t warmed_up = 0;                ///< requests planned in the warm-up
  bool interrupted = false;
};

/// Asks servers as a plan says, over gRPC's callbacks: a request under way costs its answer's
/// memory and no thread; the pictures are shared. There are no retries: each request is one
/// attempt, and how it ends is counted.
///
/// Open loop: requests are due when the arrivals say, whether or not others have been answered, and
/// their latency counts from there, also when this program was late to send it. So a server that
/// stalls is charged with all that would have come meanwhile (no coordinated omission).
///
/// Closed loop: a request begins when one ends, and its latency counts from there. After a failure
/// it waits as the server asks (`grpc-retry-pushback-ms`), or 10 ms.
class Load {
 public:
  /// `requests`: what is asked, one after the other, over and over; at least one.
  /// Of `server` the addresses and the TLS files count.
  Load(Client::Options server, LoadPlan plan, std::vector<v1::ClassifyRequest> requests);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Connects to every server, then asks. Once. When `interrupted` becomes true nothing more is
  /// sent, and what is under way is lost. Errors: UNAVAILABLE naming a server that can't be
  /// connected to within the timeout; INVALID_ARGUMENT naming a TLS file.
  absl::StatusOr<LoadResult> Run(const std::atomic<bool>& interrupted);

 private:
  class Runner;
  std::unique_ptr<Runner> runner_;
};

}  // namespace orchard::client
