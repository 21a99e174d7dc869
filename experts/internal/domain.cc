#include "experts/internal/domain.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"

#include "core/trace_context.h"
#include "experts/call_policy.h"
#include "experts/endpoint_choice.h"
#include "experts/wire.h"
#include "rpc/status.h"

namespace orchard::experts::internal {

using core::Clock;

namespace {

/// Between two look-ups while somebody waits for a domain to start.
constexpr std::chrono::milliseconds kLookUpForWaiting{200};
/// Beyond it an answer is no answer; a process may describe many domains.
constexpr size_t kLeastReceiveBytes = size_t{16} << 20;

/// What is none stays at home: the other end's log is for people, and proto3 wants UTF-8.
void AddCallers(const std::vector<Caller>& callers, v1::ScoreRequest& request) {
  for (const Caller& caller : callers) {
    v1::ScoreCaller& added = *request.add_callers();
    if (core::IsRequestId(caller.request_id)) added.set_request_id(caller.request_id);
    if (core::ParseTraceparent(caller.traceparent)) added.set_traceparent(caller.traceparent);
  }
}

void Fail(Expert::Done done, absl::Status status, MissingReason reason) {
  std::move(done)({.scores = std::move(status), .reason = reason});
}

ChannelOptions ChannelOf(const ExpertSpec& spec, const RemoteExpertOptions& options) {
  return {.credentials = options.credentials,
          .initial_backoff = options.initial_backoff,
          .max_backoff = options.max_backoff,
          .max_receive_bytes = std::max(kLeastReceiveBytes, MaxResponseBytes(spec))};
}

}  // namespace

Domain::Domain(ExpertSpec spec, RemoteExpertOptions options, Resolver& resolver,
               core::TimerQueue& timers)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      timers_(timers),
      choices_(options_.seed),
      retries_(kRetries),
      hedges_(kHedges),
      board_(ChannelOf(spec_, options_), {.size = options_.subset, .router = options_.router},
             resolver, options_.events.on_transition, options_.events.on_look_up_failed),
      tending_(std::make_shared<Tending>()) {}

void Domain::Begin(std::vector<Target> targets) {
  board_.SetTargets(std::move(targets));
  {
    core::MutexLock lock(tending_->mutex);
    tending_->domain = this;
  }
  TendAgain(tending_);
}

void Domain::Stop() {
  {
    core::MutexLock lock(tending_->mutex);  // Waits for a round in progress.
    tending_->domain = nullptr;
  }
  board_.Close();
  calls_.CancelAndWait();
}

/// A round, and a timer for the next. More seldom while all is well: calls find out by themselves.
void Domain::TendAgain(const std::shared_ptr<Tending>& tending) {
  core::MutexLock lock(tending->mutex);
  if (tending->domain == nullptr) return;
  Domain& domain = *tending->domain;
  domain.Tend();
  const auto interval = domain.options_.tend_interval * (domain.board_.all_up() ? kLazy : 1);
  domain.timers_.At(Clock::now() + interval, [tending] { TendAgain(tending); });
}

void Domain::Tend() {
  const auto endpoints = board_.Snapshot();
  for (const auto& endpoint : *endpoints) endpoint->Look();
  board_.Review();
  const Clock::time_point now = Clock::now();
  for (const auto& endpoint : *endpoints) {
    if (endpoint->TakeProbe(now, options_.probe_interval, board_.all_bad())) Probe(endpoint);
  }
  board_.Sweep();
}

void Domain::Hurry() {
  board_.HurryNames(kLookUpForWaiting);
  const auto endpoints = board_.Snapshot();
  if (endpoints->empty()) return;
  for (const auto& endpoint : *endpoints) endpoint->Look();
  board_.Review();
}

void Domain::Score(SubBatch batch, CallContext context, Expert::Done done) {
  const Clock::time_point now = Clock::now();
  if (now >= context.deadline) {
    return Fail(std::move(done),
                absl::DeadlineExceededError(absl::StrCat(
                    "the deadline passed before the expert of ", spec_.domain, " was asked")),
                MissingReason::kTimeout);
  }
  std::shared_ptr<Endpoint> endpoint = Choose(batch.rows.size(), {}, AttemptRecord::Kind::kFirst);
  if (endpoint == nullptr) {
    return Fail(std::move(done), Nobody(), board_.unavailable().value_or(MissingReason::kEjected));
  }
  v1::ScoreRequest request;
  if (absl::Status status = WriteRequest(batch, spec_, options_.dtype, request); !status.ok()) {
    const MissingReason reason = ReasonOf(status);  // Without memory it is we who are overloaded.
    return Fail(std::move(done), std::move(status), reason);
  }
  AddCallers(context.callers, request);
  {
    core::MutexLock lock(mutex_);
    retries_.Called(now);
    hedges_.Called(now);
  }
  const size_t rows = batch.rows.size();
  std::make_shared<Call>(*this, std::move(request), rows, std::move(context), std::move(done))
      ->Start(std::move(endpoint));
}

std::shared_ptr<Endpoint> Domain::Choose(size_t rows, const std::vector<std::string>& except,
                                         AttemptRecord::Kind kind) {
  const Clock::time_point now = Clock::now();
  const auto endpoints = board_.Snapshot();
  absl::InlinedVector<Candidate, 16> candidates;
  for (const auto& endpoint : *endpoints) candidates.push_back(endpoint->AsCandidate(now));
  ForgetDebts({candidates.data(), candidates.size()});
  for (size_t i = 0; i < candidates.size(); ++i) {
    Endpoint& endpoint = *(*endpoints)[i];
    endpoint.CatchUp(candidates[i].given);
    const bool tried = std::ranges::find(except, endpoint.address()) != except.end();
    candidates[i].usable = candidates[i].usable && !tried && Fits(candidates[i], kind);
  }
  const std::uint64_t count = choices_.fetch_add(1, std::memory_order_relaxed);
  const std::optional<size_t> picked = Pick(candidates, Chance(count));
  if (!picked) return nullptr;
  const std::shared_ptr<Endpoint>& chosen = (*endpoints)[*picked];
  const std::int64_t given = chosen->Give(rows);
  for (const auto& endpoint : *endpoints) endpoint->CatchUp(given - kMostBehind);
  return chosen;
}

bool Domain::TakeRetry() {
  core::MutexLock lock(mutex_);
  return retries_.Take(Clock::now());
}

bool Domain::TakeHedge() {
  core::MutexLock lock(mutex_);
  return hedges_.Take(Clock::now());
}

std::optional<Clock::duration> Domain::HedgeAfter() {
  if (!options_.hedge || board_.Snapshot()->size() < 2) return std::nullopt;
  core::MutexLock lock(mutex_);
  return delay_.Delay();
}

Clock::duration Domain::FairTime() {
  core::MutexLock lock(mutex_);
  return experts::FairTime(delay_.Delay());
}

void Domain::Hedged(HedgeResult result) {
  if (options_.events.on_hedge) options_.events.on_hedge(result);
}

void Domain::Retried() {
  if (options_.events.on_retry) options_.events.on_retry();
}

void Domain::Ended(const AttemptEnd& end) {
  const bool was_up = end.endpoint.state() == EndpointState::kUp;
  end.endpoint.CallEnded(end.ended, end.message, Clock::now());
  if (end.ended.code == absl::StatusCode::kOk) {
    end.endpoint.SetPartVersion(end.part_version);
    std::optional<Clock::duration> usual;
    {
      core::MutexLock lock(mutex_);
      delay_.Answered(end.took);
      service_.Said(end.service_seconds, Clock::now());
      usual = delay_.Delay();
    }
    if (usual) end.endpoint.SetFade(Fade(*usual));
  }
  if (end.foreign) NoteForeign(end.endpoint, end.message);
  if (end.ended.code != absl::StatusCode::kOk || !was_up) board_.Review();
}

void Domain::NoteForeign(Endpoint& endpoint, const std::string& message) {
  if (endpoint.SetForeign(message) && options_.events.on_mismatch) options_.events.on_mismatch();
}

/// Asks an endpoint what it holds, and whether it answers at all.
void Domain::Probe(const std::shared_ptr<Endpoint>& endpoint) {
  struct Question {
    v1::DescribeRequest request;
    v1::ExpertDescription answer;
  };
  auto grpc = std::make_shared<grpc::ClientContext>();  // Not const: its copy must be movable.
  const auto timeout =
      board_.all_bad() ? std::min(options_.probe_timeout, kUrgentProbe) : options_.probe_timeout;
  grpc->set_deadline(std::chrono::system_clock::now() + timeout);
  if (!calls_.Enter(grpc)) return;
  auto question = std::make_shared<Question>();
  endpoint->stub().async()->Describe(
      grpc.get(), &question->request, &question->answer,
      [this, endpoint = endpoint, question, grpc](const grpc::Status& answered) mutable {
        absl::Status status = rpc::FromGrpc(answered);
        bool ours = true;
        PartSeen part;
        if (status.ok()) {
          ours = IsOurs(question->answer, part);
          endpoint->SetPart(part);
          if (ours) NoteServiceTime(question->answer);
        } else if (absl::IsUnimplemented(status)) {
          status = absl::OkStatus();  // It answers, and says nothing.
        }
        if (!ours) {
          NoteForeign(*endpoint,
                      absl::StrCat("it serves part ", part.part_version, " of encoder \"",
                                   part.encoder_fingerprint, "\", meaning \"", part.digest,
                                   "\"; ours is encoder \"", spec_.encoder_fingerprint,
                                   "\", meaning \"", spec_.part_digest, "\""));
        }
        endpoint->ProbeEnded(status, ours, Clock::now());
        board_.Review();
        question.reset();
        calls_.Leave(std::move(grpc), std::move(endpoint));  // Last: `this` may go after it.
      });
}

/// Whether what was described may stand for what we know. An expert that says no digest is older
/// than digests: then its class names in their order must do.
bool Domain::IsOurs(const v1::ExpertDescription& description, PartSeen& part) const {
  const std::string& version = description.model_version();
  const bool same_model = spec_.model.empty() || version.empty() ||
                          version.substr(0, version.rfind('/')) == spec_.model;
  for (const v1::ExpertDomain& domain : description.domains()) {
    if (domain.domain() != spec_.domain) continue;
    part = {.part_version = domain.part_version(),
            .encoder_fingerprint = domain.encoder_fingerprint(),
            .digest = domain.part_digest()};
    const bool same_meaning = domain.part_digest().empty() || spec_.part_digest.empty()
                                  ? std::equal(spec_.classes.begin(), spec_.classes.end(),
                                               domain.classes().begin(), domain.classes().end())
                                  : domain.part_digest() == spec_.part_digest;
    return same_model && same_meaning && part.encoder_fingerprint == spec_.encoder_fingerprint;
  }
  return false;
}

void Domain::NoteServiceTime(const v1::ExpertDescription& description) {
  core::MutexLock lock(mutex_);
  for (const v1::ExpertDomain& domain : description.domains()) {
    if (domain.domain() == spec_.domain) service_.Described(domain.service_seconds());
  }
}

absl::Status Domain::Nobody() const {
  const auto snapshot = board_.Snapshot();  // Held: another list may come meanwhile.
  std::string endpoints;
  for (const auto& endpoint : *snapshot) {
    AppendStanding(endpoints, endpoint->address(), endpoint->state());
  }
  return absl::UnavailableError(absl::StrCat("no endpoint of ", spec_.domain, " can be asked: ",
                                             endpoints.empty() ? "it has none" : endpoints));
}

}  // namespace orchard::experts::internal
