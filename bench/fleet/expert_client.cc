#include "bench/fleet/expert_client.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"

#include "experts/call_policy.h"
#include "experts/remote_expert.h"
#include "experts/subset.h"
#include "rpc/channel_arguments.h"

namespace orchard::bench {

using experts::EndpointState;
using experts::MissingReason;

namespace {

/// What a router has that is told nothing else.
const experts::RemoteExpertOptions& Usual() {
  static const experts::RemoteExpertOptions usual;
  return usual;
}

const rpc::ConnectionOptions& UsualConnection() {
  static const rpc::ConnectionOptions usual;
  return usual;
}

/// After which a host that answers nothing any more is down: a ping, and the time for its answer.
Clock::duration Keepalive() {
  return UsualConnection().keepalive + UsualConnection().keepalive_timeout;
}

bool IsCurable(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kResourceExhausted;
}

}  // namespace

ExpertClient::ExpertClient(Events& events, const FleetPlan& plan, const Listing& listing,
                           Tally& tally, Owner& owner, size_t domain, std::uint64_t identity)
    : events_(events),
      plan_(plan),
      listing_(listing),
      tally_(tally),
      owner_(owner),
      domain_(domain),
      identity_(identity),
      choices_(identity % 1'000'003),
      retries_(experts::kRetries),
      hedges_(experts::kHedges) {}

void ExpertClient::Begin(Clock::duration phase) {
  LookUp();
  events_.In(phase, [this] { Tend(); });
}

void ExpertClient::LookUp() {
  const Listing::Name& name = listing_.Of(domain_);
  if (stopped_ || name.version == version_) return;
  version_ = name.version;
  const size_t subset = plan_.routers.subset;
  if (subset == 0 || name.pods.size() <= subset) {
    places_ = name.pods;
  } else {
    places_.clear();
    for (const size_t index : experts::RendezvousOrder(identity_, name.addresses)) {
      places_.push_back(name.pods[index]);
    }
  }
  Review();
}

void ExpertClient::Stop() {
  stopped_ = true;
  for (const CallId id : calls_.All()) {
    for (const Try& attempt : calls_.Find(id)->tries) attempt.wire->cancelled = true;
    calls_.Take(id);
  }
}

void ExpertClient::Tend() {
  if (stopped_) return;
  for (const EndpointPtr& endpoint : set_) Look(*endpoint);
  Review();
  const Clock::time_point now = events_.now();
  const std::vector<EndpointPtr> endpoints = set_;
  for (const EndpointPtr& endpoint : endpoints) {
    if (endpoint->link != Link::kUp || endpoint->probing) continue;
    const bool waits = endpoint->load.OldestAge(now) > experts::kLongSilence;
    const bool due = now - endpoint->last_probe >= Usual().probe_interval;
    const bool doubtful =
        (endpoint->silent || waits || endpoint->renewed) && !endpoint->ejection.bad();
    if ((due && doubtful) || endpoint->ejection.MayProbe(now, all_bad_)) Probe(endpoint);
  }
  events_.In(Usual().tend_interval * (all_up_ ? experts::kLazy : 1), [this] { Tend(); });
}

/// What its channel would have found.
void ExpertClient::Look(Endpoint& endpoint) const {
  const Link before = endpoint.link;
  const Clock::time_point now = events_.now();
  switch (endpoint.pod->state()) {
    case Pod::State::kServing:
      endpoint.link = Link::kUp;
      break;
    case Pod::State::kDraining:
    case Pod::State::kDead:
      endpoint.link = Link::kDown;
      break;
    case Pod::State::kSilent:
      if (before == Link::kUp && now - endpoint.pod->since() >= Keepalive()) {
        endpoint.link = Link::kDown;
      } else if (before == Link::kConnecting &&
                 now - endpoint.since >= UsualConnection().connect_timeout) {
        endpoint.link = Link::kDown;
      }
      break;
  }
  if (endpoint.link == Link::kUp) {
    endpoint.renewed = endpoint.renewed || endpoint.failed;
    endpoint.failed = false;
  }
  if (before == Link::kUp || endpoint.link != Link::kUp) return;
  endpoint.ejection.Succeeded();
  endpoint.silent = false;
  endpoint.silent_probes = 0;
}

/// Connects to as many of the places as are wanted, and to no more.
void ExpertClient::Fit() {
  const size_t subset = plan_.routers.subset;
  std::vector<EndpointPtr> next;
  size_t sound = 0;
  for (Pod* const pod : places_) {
    if (subset > 0 && sound == subset) break;
    const size_t here = next.size();
    const auto same = here < set_.size() && set_[here]->pod == pod
                          ? set_.begin() + static_cast<std::ptrdiff_t>(here)
                          : std::ranges::find(set_, pod, [](const auto& e) { return e->pod; });
    if (same != set_.end()) {
      next.push_back(*same);
    } else {
      next.push_back(std::make_shared<Endpoint>(Endpoint{.pod = pod, .since = events_.now()}));
      Look(*next.back());
    }
    const Endpoint& endpoint = *next.back();
    if (experts::IsSound({.link = endpoint.link, .bad = endpoint.ejection.bad()})) ++sound;
  }
  set_ = std::move(next);
}

void ExpertClient::Review() {
  Fit();
  std::vector<experts::EndpointFacts> facts;
  facts.reserve(set_.size());
  for (const EndpointPtr& endpoint : set_) {
    facts.push_back({.link = endpoint->link,
                     .bad = endpoint->ejection.bad(),
                     .bad_since = endpoint->ejection.bad_since(),
                     .trial = endpoint->ejection.on_trial() && endpoint->load.calls() == 0});
  }
  const size_t subset = plan_.routers.subset;
  const size_t standing_in = subset > 0 && set_.size() > subset ? set_.size() - subset : 0;
  const experts::Verdict verdict = experts::Judge(facts, std::max(places_.size() / 2, standing_in));
  all_up_ = !set_.empty();
  for (size_t i = 0; i < set_.size(); ++i) {
    const EndpointState was = std::exchange(set_[i]->state, verdict.states[i]);
    set_[i]->usable = verdict.usable[i];
    all_up_ = all_up_ && verdict.states[i] == EndpointState::kUp;
    if (was != EndpointState::kEjected && verdict.states[i] == EndpointState::kEjected) {
      tally_.Ejected(events_.now());
    }
  }
  all_bad_ = verdict.all_bad;
  unavailable_ = verdict.unavailable;
}

void ExpertClient::Probe(const EndpointPtr& endpoint) {
  endpoint->renewed = false;
  endpoint->probing = true;
  endpoint->last_probe = events_.now();
  const bool answers = endpoint->pod->state() != Pod::State::kSilent;
  const Clock::duration patience = all_bad_ ? experts::kUrgentProbe : Usual().probe_timeout;
  events_.In(answers ? 2 * plan_.pods.hop : patience,
             [this, endpoint, answers] { ProbeEnded(*endpoint, answers); });
}

void ExpertClient::ProbeEnded(Endpoint& endpoint, bool answered) {
  endpoint.probing = false;
  if (answered) {
    endpoint.silent = false;
    endpoint.silent_probes = 0;
    endpoint.ejection.ProbeSucceeded();
  } else {
    ++endpoint.silent_probes;
    if (endpoint.ejection.bad() || endpoint.silent_probes >= experts::kSilentProbes) {
      endpoint.ejection.Silent(events_.now());
    }
  }
  if (!stopped_) Review();
}

experts::Candidate ExpertClient::AsCandidate(const Endpoint& endpoint) const {
  const Clock::time_point now = events_.now();
  const bool busy_trial = endpoint.state == EndpointState::kEjected && endpoint.ejection.bad() &&
                          endpoint.load.calls() > 0;
  return {.usable = endpoint.usable && !busy_trial,
          .connected = endpoint.link == Link::kUp,
          .up = endpoint.state == EndpointState::kUp,
          .resting = endpoint.load.Resting(now),
          .cost = endpoint.load.Cost(now),
          .given = endpoint.given};
}

ExpertClient::EndpointPtr ExpertClient::Choose(const Call& call, Kind kind) {
  absl::InlinedVector<experts::Candidate, 32> candidates;
  for (const EndpointPtr& endpoint : set_) candidates.push_back(AsCandidate(*endpoint));
  experts::ForgetDebts({candidates.data(), candidates.size()});
  for (size_t i = 0; i < candidates.size(); ++i) {
    const EndpointPtr& endpoint = set_[i];
    endpoint->given = candidates[i].given;
    const bool tried = std::ranges::any_of(
        call.tries, [&](const Try& attempt) { return attempt.endpoint == endpoint; });
    candidates[i].usable = candidates[i].usable && !tried && experts::Fits(candidates[i], kind);
  }
  const std::optional<size_t> picked = experts::Pick(candidates, experts::Chance(choices_++));
  if (!picked) return nullptr;
  const EndpointPtr chosen = set_[*picked];
  chosen->given += static_cast<std::int64_t>(call.rows);
  for (const EndpointPtr& endpoint : set_) {
    endpoint->given = std::max(endpoint->given, chosen->given - experts::kMostBehind);
  }
  return chosen;
}

void ExpertClient::Score(size_t rows, Clock::time_point deadline, std::uint64_t token) {
  const Clock::time_point now = events_.now();
  Call call{.token = token, .rows = rows, .deadline = deadline};
  EndpointPtr endpoint = Choose(call, Kind::kFirst);
  if (endpoint == nullptr || now >= deadline) {
    const MissingReason reason =
        now >= deadline ? MissingReason::kTimeout : unavailable_.value_or(MissingReason::kEjected);
    tally_.Missing(now, reason, rows);
    return owner_.ScoreEnded(token, reason);
  }
  retries_.Called(now);
  hedges_.Called(now);
  const CallId id = calls_.Add(std::move(call));
  Send(id, *calls_.Find(id), std::move(endpoint), Kind::kFirst);
  events_.At(deadline, [this, id] { Expire(id); });
  const std::optional<Clock::duration> hedge_after = HedgeAfter();
  if (hedge_after && now + *hedge_after < deadline) {
    events_.In(*hedge_after, [this, id] { Hedge(id); });
  }
}

std::optional<Clock::duration> ExpertClient::HedgeAfter() const {
  if (!plan_.routers.hedge || set_.size() < 2) return std::nullopt;
  return delay_.Delay();
}

void ExpertClient::Send(CallId id, Call& call, EndpointPtr endpoint, Kind kind) {
  auto wire = std::make_shared<Attempt>(Attempt{.caller = this,
                                                .call = id,
                                                .number = call.tries.size(),
                                                .rows = call.rows,
                                                .deadline = call.deadline});
  const auto ticket = endpoint->load.Started(call.rows, events_.now());
  Pod* const pod = endpoint->pod;
  call.tries.push_back({.endpoint = std::move(endpoint),
                        .ticket = ticket,
                        .begin = events_.now(),
                        .kind = kind,
                        .wire = wire});
  ++call.outstanding;
  pod->Ask(std::move(wire));
}

void ExpertClient::Arrived(const Attempt& attempt, const Reply& reply) {
  Call* const call = calls_.Find(attempt.call);
  if (call == nullptr) return;
  TryEnded(attempt.call, *call, call->tries[attempt.number], {.code = reply.code, .reply = reply});
}

void ExpertClient::TryEnded(CallId id, Call& call, Try& attempt, const End& end) {
  const bool was_up = attempt.endpoint->state == EndpointState::kUp;
  Close(attempt, end);
  --call.outstanding;
  if (end.code != absl::StatusCode::kOk || !was_up) Review();
  if (end.code == absl::StatusCode::kOk) return Finish(id, std::nullopt);
  if (call.outstanding > 0) return;  // The other one may do better.
  if (Retry(id, call, end.code)) return;
  Finish(id, experts::ReasonOf(absl::Status(end.code, "")));
}

/// Closes an attempt's books.
void ExpertClient::Close(Try& attempt, const End& end) {
  const Clock::time_point now = events_.now();
  const Clock::duration took = now - attempt.begin;
  Endpoint& endpoint = *attempt.endpoint;
  attempt.ended = true;
  attempt.wire->cancelled = true;
  const bool fair = took >= FairTime();
  const bool silence = end.hung_up || end.code == absl::StatusCode::kDeadlineExceeded;
  const bool is_fault = silence ? fair : experts::IsFault(end.code);
  if (end.code == absl::StatusCode::kOk) {
    endpoint.load.Answered(attempt.ticket, end.reply.reported, now);
    endpoint.silent = false;
    endpoint.silent_probes = 0;
    endpoint.ejection.Succeeded();
    delay_.Answered(took);
    service_.Said(end.reply.service_seconds, now);
    if (const auto usual = delay_.Delay()) {
      endpoint.load.SetFade(experts::Fade(*usual));
    }
    tally_.Called(now, took);
  } else if (end.hung_up || (silence && !fair)) {
    endpoint.load.Abandoned(attempt.ticket, now);
    endpoint.silent = true;
  } else {
    endpoint.load.Failed(attempt.ticket, now);
  }
  if (end.reply.pushback) endpoint.load.AskedForPatience(*end.reply.pushback, now);
  if (is_fault) endpoint.ejection.Failed(now);
  if (end.code != absl::StatusCode::kUnavailable) return;
  endpoint.failed = true;
  if (endpoint.pod->state() != Pod::State::kServing) endpoint.link = Link::kDown;
}

Clock::duration ExpertClient::FairTime() const { return experts::FairTime(delay_.Delay()); }

bool ExpertClient::Retry(CallId id, Call& call, absl::StatusCode code) {
  if (!IsCurable(code) || events_.now() >= call.deadline) return false;
  if (call.tries.size() >= experts::kMaxAttempts) return false;
  EndpointPtr next = Choose(call, Kind::kRetry);
  if (next == nullptr || !retries_.Take(events_.now())) return false;
  tally_.Retried(events_.now());
  Send(id, call, std::move(next), Kind::kRetry);
  return true;
}

void ExpertClient::Hedge(CallId id) {
  Call* const call = calls_.Find(id);
  if (call == nullptr || call->outstanding != 1 || call->tries.size() != 1) return;
  EndpointPtr next = Choose(*call, Kind::kHedge);
  if (next == nullptr || !hedges_.Take(events_.now())) return;
  tally_.Hedged(events_.now());
  Send(id, *call, std::move(next), Kind::kHedge);
}

/// The deadline of all its attempts.
void ExpertClient::Expire(CallId id) {
  Call* const call = calls_.Find(id);
  if (call == nullptr) return;
  for (Try& attempt : call->tries) {
    if (attempt.ended) continue;
    Close(attempt, {.code = absl::StatusCode::kDeadlineExceeded});
  }
  Review();
  Finish(id, MissingReason::kTimeout);
}

void ExpertClient::Finish(CallId id, std::optional<MissingReason> missing) {
  Call call = calls_.Take(id);
  for (Try& attempt : call.tries) {
    if (!attempt.ended) Close(attempt, {.code = absl::StatusCode::kCancelled, .hung_up = true});
  }
  if (missing) tally_.Missing(events_.now(), *missing, call.rows);
  owner_.ScoreEnded(call.token, missing);
}

}  // namespace orchard::bench
