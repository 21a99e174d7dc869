#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "bench/fleet/events.h"
#include "bench/fleet/times.h"
#include "router/demand_meter.h"

/// \file
/// What is simulated. Plain data; defaults are those of the programs and of the chart.

namespace orchard::bench {

/// Pictures that come, as a Poisson process.
struct ArrivalPlan {
  /// Of one domain, from when to when, times so many.
  struct Surge {
    size_t domain;
    Clock::duration from, to;
    double factor;
  };

  double rate = 100.0;             ///< pictures a second, of all routers
  std::vector<Surge> surges = {};  ///< do not overlap within a domain
  Clock::duration deadline = std::chrono::seconds(10);
  double second_expert = 0.0;  ///< share of pictures that ask another expert after the first
  Clock::duration hop{};       ///< from client to router, and back
};

struct RouterPlan {
  size_t count = 1;
  double cores = 2.0;
  size_t decode_workers = 2;
  size_t encode_workers = 2;
  size_t max_batch = 4;
  size_t in_flight = 256;
  size_t expert_in_flight = 64;
  double picture_bytes = 300'000.0;
  // What a picture takes of a core, alone.
  Times receive = {};  ///< all that is not a stage: gRPC, hand-overs
  Times decode = {};
  Times encode = {};          ///< a pass of one picture
  double encode_fixed = 0.0;  ///< share of it that a pass takes however many pictures it has
  Times combine = {};
  Clock::duration expert_timeout = std::chrono::seconds(2);
  size_t subset = 0;  ///< endpoints of a domain; 0: all
  Clock::duration dns_interval = std::chrono::seconds(5);
  bool hedge = true;
  router::DemandMeter::Options demand{};
};

struct DomainPlan {
  std::string name;
  double share = 1.0;      ///< of the pictures; any unit
  Times row = {};          ///< what one row takes of a core, alone
  double row_fixed = 0.0;  ///< share of it that a batch takes however many rows it has
  size_t replicas = 1;     ///< at the start
};

struct PodPlan {
  double cores = 1.0;
  size_t workers = 1;
  size_t max_batch = 32;
  size_t max_waiting = 256;  ///< calls
  size_t max_waiting_rows = 4096;
  Times call = {};        ///< what a call takes of a core besides its rows: gRPC
  Clock::duration hop{};  ///< from router to pod, and back
  std::optional<double> host_cores =
      std::nullopt;  ///< all pods share so many; else each has its own
};

/// Replicas as KEDA and a HorizontalPodAutoscaler set them.
struct AutoscalerPlan {
  bool on = false;
  Clock::duration period = std::chrono::seconds(15);  ///< between two looks
  Clock::duration scale_down = std::chrono::seconds(300);
  double tolerance = 0.1;
  size_t least = 1;
  size_t most = 1'000'000;
  Times start = {};  ///< from wanting a pod to its being ready and listed
};

/// A zone that fails.
struct FaultPlan {
  enum class Kind : std::uint8_t {
    kDead,    ///< connections are reset and refused
    kSilent,  ///< nothing comes back, as behind a cut cable
  };
  bool on = false;
  Kind kind = Kind::kSilent;
  size_t zones = 3;
  Clock::duration at{};
  bool routers_too = true;
  Clock::duration client_failover = std::chrono::seconds(1);   ///< then clients ask other routers
  Clock::duration unlisted_after = std::chrono::seconds(40);   ///< the node counts as gone
  Clock::duration replaced_after = std::chrono::seconds(340);  ///< its pods are made anew elsewhere
};

struct FleetPlan {
  std::uint64_t seed = 1;
  Clock::duration warm_up = std::chrono::seconds(5);    ///< what comes in it is not measured
  Clock::duration measured = std::chrono::seconds(30);  ///< for so long after it
  Clock::duration interval = std::chrono::seconds(5);   ///< of the course over time
  ArrivalPlan arrivals = {};
  RouterPlan routers = {};
  std::vector<DomainPlan> domains = {};
  PodPlan pods = {};
  AutoscalerPlan autoscaler = {};
  FaultPlan fault = {};
};

}  // namespace orchard::bench
