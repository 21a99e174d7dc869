#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "bench/fleet/cores.h"
#include "bench/fleet/events.h"
#include "bench/fleet/expert_client.h"
#include "bench/fleet/listing.h"
#include "bench/fleet/plan.h"
#include "bench/fleet/slots.h"
#include "bench/fleet/tally.h"
#include "bench/fleet/times.h"
#include "router/demand_meter.h"
#include "router/estimates.h"

namespace orchard::bench {

/// A picture, as its client sends it.
struct Picture {
  Clock::time_point sent;
  size_t domain;
  std::optional<size_t> second;  ///< whom it asks after the first
};

/// A router: receive → admit → decode → encode → scatter → combine, as router/pipeline.h has it.
///
/// One caller, one priority, one size of picture: whose turn it is among several is
/// router/fair_share.h's affair and simulated elsewhere (tests/unit/router). Stages work on the
/// router's cores, which they share; all that is no stage is one piece of work before admission,
/// which refused pictures cost as well.
class RouterModel final : public ExpertClient::Owner {
 public:
  RouterModel(Events& events, const FleetPlan& plan, const Listing& listing, Random& random,
              Tally& tally, size_t zone, std::uint64_t identity);

  void Begin();
  /// A client sends it; it arrives after a hop.
  void Send(const Picture& picture);
  /// Its zone fails: what it has is lost, and so is what is still sent.
  void Fail();

  size_t zone() const { return zone_; }
  void ScoreEnded(std::uint64_t token, std::optional<experts::MissingReason> missing) override;

  bool alive() const { return alive_; }
  size_t in_progress() const { return pictures_.size(); }
  size_t endpoints() const;
  router::Demand ReadDemand(size_t domain);
  double used() { return cores_.used() - used_before_; }
  double cores() const { return cores_.cores(); }
  void BeginMeasuring() { used_before_ = cores_.used(); }

 private:
  struct Request {
    Picture picture;
    Clock::time_point give_up = {};
    Clock::time_point entered = {};  // the stage, or its queue
    Clock::duration judged{};        // its wait
    Clock::duration waited{};
    bool degraded = false;
  };
  using Id = Slots<Request>::Id;
  struct Pass {
    std::vector<Id> pictures;
    Clock::time_point began;
  };
  struct Asked {
    size_t domain;
    std::vector<Id> pictures;
    Clock::time_point began;
  };

  void LookUp();
  void Admit(Id id);
  void Shed(Id id, router::Shed reason);
  void StartDecoding();
  void Decoded(Id id);
  void StartEncoding();
  Pass TakePass();
  void Encoded(Slots<Pass>::Id id);
  void Scatter(const std::vector<Id>& pictures, bool second);
  void Ask(size_t domain, std::vector<Id> pictures);
  void Combine(Id id);
  void Finish(Id id);
  router::Backlog Ahead() const;

  Events& events_;
  const FleetPlan& plan_;
  Random& random_;
  Tally& tally_;
  const size_t zone_;
  const size_t bytes_;
  const size_t max_ahead_;
  bool alive_ = true;
  Cores cores_;
  double used_before_ = 0.0;
  router::Estimates estimates_;
  router::DemandMeter meter_;
  std::vector<std::unique_ptr<ExpertClient>> experts_;  // by domain
  std::vector<size_t> outstanding_;                     // rows, by domain

  Slots<Request> pictures_;
  Slots<Pass> passes_;
  Slots<Asked> asked_;
  size_t in_flight_ = 0;
  std::deque<Id> decode_queue_, encode_queue_;
  size_t decoding_ = 0;  // pictures
  size_t encoding_ = 0;
  size_t ahead_ = 0;  // on decoders and before the encoder
};

}  // namespace orchard::bench
