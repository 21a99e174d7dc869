#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bench/fleet/events.h"
#include "bench/fleet/listing.h"
#include "bench/fleet/plan.h"
#include "bench/fleet/pod.h"
#include "bench/fleet/slots.h"
#include "bench/fleet/tally.h"
#include "experts/ejection.h"
#include "experts/endpoint_choice.h"
#include "experts/endpoint_load.h"
#include "experts/endpoint_state.h"
#include "experts/expert.h"
#include "experts/hedge_delay.h"
#include "experts/mean_service_time.h"
#include "experts/ratio_budget.h"

namespace orchard::bench {

/// A router's side of one domain: what experts::RemoteExpert is, with its own parts, but for
/// channels, which are states of pods here, and threads. The counterparts are
/// experts/internal/domain.cc (Tend, Choose), endpoint_board.cc (Fit, Review), endpoint.cc (Look,
/// probes) and call.cc (attempts).
class ExpertClient final : public Attempt::Caller {
 public:
  class Owner {
   public:
    /// The call that was given `token` is over; absent: it was answered.
    virtual void ScoreEnded(std::uint64_t token, std::optional<experts::MissingReason> missing) = 0;

   protected:
    ~Owner() = default;
  };

  /// `identity`: who the router is, for its subset. Everything outlives it.
  ExpertClient(Events& events, const FleetPlan& plan, const Listing& listing, Tally& tally,
               Owner& owner, size_t domain, std::uint64_t identity);

  /// Connects, and begins to tend; once, when the first pods are listed.
  void Begin(Clock::duration phase);
  /// Takes what the name leads to now.
  void LookUp();
  /// The router has failed: nobody waits for anything.
  void Stop();

  void Score(size_t rows, Clock::time_point deadline, std::uint64_t token);

  void Arrived(const Attempt& attempt, const Reply& reply) override;

  std::optional<double> ServiceSeconds() const { return service_.seconds(); }
  size_t endpoints() const { return set_.size(); }

 private:
  using Link = experts::EndpointFacts::Link;
  using Kind = experts::AttemptRecord::Kind;

  struct Endpoint {
    Pod* pod;
    Clock::time_point since;  // it was first tried
    experts::EndpointLoad load = {};
    experts::Ejection ejection = {};
    Link link = Link::kConnecting;
    experts::EndpointState state = experts::EndpointState::kConnecting;
    bool usable = true;
    std::int64_t given = experts::kNeverGiven;
    bool silent = false;
    bool renewed = false;
    bool failed = false;
    bool probing = false;
    size_t silent_probes = 0;
    Clock::time_point last_probe = {};
  };
  using EndpointPtr = std::shared_ptr<Endpoint>;

  struct Try {
    EndpointPtr endpoint;
    experts::EndpointLoad::Ticket ticket;
    Clock::time_point begin;
    Kind kind;
    std::shared_ptr<Attempt> wire;
    bool ended = false;
  };
  struct Call {
    std::uint64_t token;
    size_t rows;
    Clock::time_point deadline;
    std::vector<Try> tries = {};
    size_t outstanding = 0;
  };
  using CallId = Slots<Call>::Id;
  /// How an attempt ended.
  struct End {
    absl::StatusCode code = absl::StatusCode::kOk;
    Reply reply = {};
    bool hung_up = false;
  };

  void Tend();
  void Look(Endpoint& endpoint) const;
  void Fit();
  void Review();
  void Probe(const EndpointPtr& endpoint);
  void ProbeEnded(Endpoint& endpoint, bool answered);
  experts::Candidate AsCandidate(const Endpoint& endpoint) const;
  EndpointPtr Choose(const Call& call, Kind kind);
  void Send(CallId id, Call& call, EndpointPtr endpoint, Kind kind);
  void TryEnded(CallId id, Call& call, Try& attempt, const End& end);
  void Close(Try& attempt, const End& end);
  bool Retry(CallId id, Call& call, absl::StatusCode code);
  void Hedge(CallId id);
  void Expire(CallId id);
  void Finish(CallId id, std::optional<experts::MissingReason> missing);
  Clock::duration FairTime() const;
  std::optional<Clock::duration> HedgeAfter() const;

  Events& events_;
  const FleetPlan& plan_;
  const Listing& listing_;
  Tally& tally_;
  Owner& owner_;
  const size_t domain_;
  const std::uint64_t identity_;
  bool stopped_ = false;

  std::vector<Pod*> places_;  // all that are known, the most wanted first
  std::uint64_t version_ = 0;
  std::vector<EndpointPtr> set_;
  bool all_bad_ = false, all_up_ = false;
  std::optional<experts::MissingReason> unavailable_;

  std::uint64_t choices_;
  experts::HedgeDelay delay_;
  experts::RatioBudget retries_, hedges_;
  experts::MeanServiceTime service_;
  Slots<Call> calls_;
};

}  // namespace orchard::bench
