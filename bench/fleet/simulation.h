#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"

#include "bench/fleet/autoscaler.h"
#include "bench/fleet/cores.h"
#include "bench/fleet/events.h"
#include "bench/fleet/listing.h"
#include "bench/fleet/plan.h"
#include "bench/fleet/pod.h"
#include "bench/fleet/router_model.h"
#include "bench/fleet/tally.h"
#include "bench/fleet/times.h"

namespace orchard::bench {

/// Errors: INVALID_ARGUMENT with the first fault, its value and what is allowed.
absl::Status CheckPlan(const FleetPlan& plan);

/// A fleet at work. Once: Run(), then its figures. The plan must be valid.
class Simulation {
 public:
  explicit Simulation(FleetPlan plan);

  void Run();

  /// How busy: of the measured time, what was used over what there was.
  struct Utilisation {
    double mean = 0.0;
    double most = 0.0;
  };
  /// The pods of a domain that were there for all of the measured time.
  struct DomainFigures {
    size_t pods = 0;
    Utilisation utilisation;
    double max_over_mean = 0.0;  ///< rows of the busiest over the mean; 0: no rows
  };
  /// The pods of all domains at one moment.
  struct Sample {
    double seconds;               ///< since the warm-up
    std::vector<size_t> serving;  ///< by domain
    std::vector<double> desired;  ///< by domain, as the routers say
  };

  const FleetPlan& plan() const { return plan_; }
  const Tally& tally() const { return tally_; }
  Utilisation RouterUtilisation() const { return router_utilisation_; }
  const std::vector<DomainFigures>& Domains() const { return domains_; }
  const std::vector<Sample>& samples() const { return samples_; }
  size_t connections() const { return connections_; }  ///< when measuring began
  std::uint64_t events() const { return events_.happened(); }
  /// Pictures that were neither answered nor refused nor lost when nothing was left to happen to
  /// them: 0, or the simulation is wrong.
  std::uint64_t left_over() const {
    return tally_.everything().offered - tally_.everything().ended();
  }

 private:
  Pod* AddPod(size_t domain, size_t zone);
  size_t Zones() const { return plan_.fault.on ? plan_.fault.zones : 1; }
  void PlanArrival();
  double FactorOf(size_t domain) const;
  void Arrive();
  RouterModel& Target();
  std::vector<double> Desired();
  void TakeSample();
  void Scale();
  void StartPods(size_t domain, size_t count);
  void StopPods(size_t domain, size_t count);
  void FailZone();
  void Unlist();
  void Replace();
  void BeginMeasuring();
  Utilisation MeasureRouters();
  std::vector<DomainFigures> MeasureDomains();
  bool Busy() const;
  size_t Serving(size_t domain) const;
  double SecondsOf(Clock::time_point time) const { return core::Seconds(time - from_); }

  const FleetPlan plan_;
  Events events_;
  Random random_;
  const Clock::time_point from_, to_;
  Tally tally_;
  Listing listing_;
  std::unique_ptr<Cores> host_;
  std::vector<std::vector<std::unique_ptr<Pod>>> pods_;  // by domain; those that went, too
  std::vector<std::unique_ptr<RouterModel>> routers_;
  std::vector<size_t> starting_;  // pods, by domain
  std::vector<size_t> failed_;    // pods of the failed zone that the Deployment still counts
  std::vector<ReplicaRule> rules_;
  std::vector<double> shares_;  // cumulated, with the largest surges: arrivals are thinned
  std::vector<double> most_;    // the largest surge, by domain
  double most_rate_ = 0.0;
  size_t pods_made_ = 0;
  size_t connections_ = 0;
  std::vector<Sample> samples_;
  Utilisation router_utilisation_;
  std::vector<DomainFigures> domains_;
};

}  // namespace orchard::bench
