#include "experts/remote_expert.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <grpcpp/client_context.h>

#include "core/status.h"
#include "experts/internal/call_group.h"
#include "experts/internal/endpoint.h"
#include "experts/metadata.h"
#include "experts/wire.h"
#include "rpc/status.h"
#include "server/address.h"

namespace orchard::experts {
namespace {

using core::Clock;

constexpr std::chrono::hours kLongestCall{1};  // "No deadline" would not survive the arithmetic.
constexpr std::chrono::seconds kProbeTimeout{2};
constexpr size_t kLongestRequestId = 128;

/// gRPC's deadlines are on the system's clock.
std::chrono::system_clock::time_point ToSystem(Clock::time_point deadline) {
  const auto now = Clock::now();
  const auto left = std::min<Clock::duration>(deadline - std::min(now, deadline), kLongestCall);
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
}

/// 64 even bits from a counter (the finaliser of SplitMix64): chance without a lock.
std::uint64_t Scramble(std::uint64_t count) {
  std::uint64_t x = (count + 1) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

/// gRPC aborts on metadata that HTTP/2 does not allow, so an odd id stays at home.
bool CanTravel(const std::string& request_id) {
  return !request_id.empty() && request_id.size() <= kLongestRequestId &&
         std::all_of(request_id.begin(), request_id.end(),
                     [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); });
}

/// The rows in flight that the expert reported; 0 when it said nothing.
size_t Reported(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto trailer = trailers.find(kInFlightTrailer);
  if (trailer == trailers.end()) return 0;
  size_t rows = 0;
  const grpc::string_ref& text = trailer->second;
  std::from_chars(text.data(), text.data() + text.size(), rows);
  return rows;
}

/// It holds another model: another encoder's expert, or not our domain.
bool IsForeign(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsNotFound(status);
}

/// The same with domain and address. CANCELLED is a dying server, or we are: nobody answered.
absl::Status Located(const absl::Status& status, const std::string& domain,
                     const std::string& address) {
  const auto code = absl::IsCancelled(status) ? absl::StatusCode::kUnavailable : status.code();
  return absl::Status(code, absl::StrCat(domain, " at ", address, ": ", status.message()));
}

void Fail(Expert::Done done, absl::Status status) {
  const MissingReason reason = ReasonOf(status);
  std::move(done)({.scores = std::move(status), .reason = reason});
}

}  // namespace

/// One Score on its way, over at most two attempts. Shared by the attempt's callback alone.
struct RemoteExpert::Call {
  v1::ScoreRequest request;
  v1::ScoreResponse response;
  size_t rows = 0;
  CallContext context;
  Done done;
  bool retried = false;

  // Of the attempt in progress.
  size_t endpoint = 0;
  std::shared_ptr<grpc::ClientContext> grpc;  // shared with calls_, which may cancel it
  Clock::time_point started;
};

absl::StatusOr<std::unique_ptr<RemoteExpert>> RemoteExpert::Create(
    ExpertSpec spec, const std::vector<std::string>& addresses, RemoteExpertOptions options) {
  if (addresses.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the expert of ", spec.domain, " has no address"));
  }
  std::unique_ptr<RemoteExpert> expert(new RemoteExpert(std::move(spec), std::move(options)));
  const internal::ReconnectOptions reconnect{.initial_backoff = expert->options_.initial_backoff,
                                             .max_backoff = expert->options_.max_backoff,
                                             .credentials = expert->options_.credentials};
  for (const std::string& text : addresses) {
    ORCHARD_ASSIGN_OR_RETURN(const server::Address address, server::ParseAddress(text));
    expert->endpoints_.push_back(
        std::make_unique<internal::Endpoint>(address.ToString(), reconnect));
  }
  return expert;
}

RemoteExpert::RemoteExpert(ExpertSpec spec, RemoteExpertOptions options)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      choices_(options_.seed),
      calls_(std::make_unique<internal::CallGroup>()) {}

RemoteExpert::~RemoteExpert() { Stop(); }

void RemoteExpert::Stop() { calls_->CancelAndWait(); }

void RemoteExpert::Score(SubBatch batch, CallContext context, Done done) {
  if (Clock::now() >= context.deadline) {
    return Fail(std::move(done),
                absl::DeadlineExceededError(absl::StrCat(
                    "the deadline passed before the expert of ", spec_.domain, " was asked")));
  }
  const std::optional<size_t> endpoint = Choose(std::nullopt);
  if (!endpoint) return Fail(std::move(done), AllDown());
  auto call = std::make_shared<Call>();
  if (absl::Status status = WriteRequest(batch, spec_, options_.dtype, call->request);
      !status.ok()) {
    return Fail(std::move(done), std::move(status));
  }
  call->rows = batch.rows.size();
  call->context = std::move(context);
  call->done = std::move(done);
  Attempt(std::move(call), *endpoint);
}

void RemoteExpert::Attempt(std::shared_ptr<Call> call, size_t index) {
  internal::Endpoint& endpoint = *endpoints_[index];
  const auto grpc = std::make_shared<grpc::ClientContext>();
  grpc->set_deadline(ToSystem(call->context.deadline));
  if (!call->context.callers.empty() && CanTravel(call->context.callers.front().request_id)) {
    grpc->AddMetadata(kRequestIdMetadata, call->context.callers.front().request_id);
  }
  if (!calls_->Enter(grpc)) {
    return Fail(std::move(call->done), absl::UnavailableError(absl::StrCat(
                                           "the expert of ", spec_.domain, " is being shut down")));
  }
  call->endpoint = index;
  call->grpc = grpc;
  call->started = Clock::now();
  endpoint.Started(call->rows);
  v1::ScoreRequest& request = call->request;
  v1::ScoreResponse& response = call->response;
  endpoint.stub().async()->Score(
      grpc.get(), &request, &response,
      [this, call = std::move(call)](const grpc::Status& status) mutable {
        Answered(std::move(call), rpc::FromGrpc(status));
      });
}

void RemoteExpert::Answered(std::shared_ptr<Call> call, absl::Status status) {
  internal::Endpoint& endpoint = *endpoints_[call->endpoint];
  std::shared_ptr<grpc::ClientContext> grpc = std::move(call->grpc);
  const auto now = Clock::now();
  endpoint.Ended(call->rows, status, now - call->started, Reported(*grpc), now);
  if (IsForeign(status)) NoteForeign(endpoint, status);
  if (MayRetry(*call, status)) {
    if (const std::optional<size_t> next = Choose(call->endpoint)) {
      call->retried = true;
      call->response.Clear();
      Attempt(std::move(call), *next);
      // After the next has entered: we are never seen as finished between.
      calls_->Leave(std::move(grpc));
      return;
    }
  }
  absl::StatusOr<model::ScoreBatch> answer =
      status.ok() ? ReadResponse(call->response, call->rows, spec_.classes.size())
                  : absl::StatusOr<model::ScoreBatch>(std::move(status));
  if (!answer.ok()) answer = Located(answer.status(), spec_.domain, endpoint.address());
  const MissingReason reason = ReasonOf(answer.status());
  std::move(call->done)({.scores = std::move(answer), .reason = reason});
  call.reset();
  calls_->Leave(std::move(grpc));  // Last line: `this` may be gone after it.
}

bool RemoteExpert::MayRetry(const Call& call, const absl::Status& status) const {
  const bool curable =
      absl::IsUnavailable(status) || absl::IsCancelled(status) || IsForeign(status);
  return curable && !call.retried && !calls_->closed() && Clock::now() < call.context.deadline;
}

void RemoteExpert::NoteForeign(internal::Endpoint& endpoint, const absl::Status& status) {
  endpoint.SetForeign(true, Clock::now() + options_.probe_interval);
  if (absl::IsFailedPrecondition(status) && options_.on_fingerprint_mismatch) {
    options_.on_fingerprint_mismatch(endpoint.address(), std::string(status.message()));
  }
}

/// Asks an endpoint that held another model what it holds now.
void RemoteExpert::Probe(internal::Endpoint& endpoint) const {
  struct Question {
    v1::DescribeRequest request;
    v1::ExpertDescription answer;
  };
  auto grpc = std::make_shared<grpc::ClientContext>();  // Not const: its copy must be movable.
  grpc->set_deadline(std::chrono::system_clock::now() + kProbeTimeout);
  if (!calls_->Enter(grpc)) return;
  const auto question = std::make_shared<Question>();
  endpoint.stub().async()->Describe(
      grpc.get(), &question->request, &question->answer,
      [this, &endpoint, question, grpc](const grpc::Status& status) mutable {
        const auto& domains = question->answer.domains();
        const bool ours = status.ok() && std::any_of(domains.begin(), domains.end(), [&](auto& d) {
                            return d.domain() == spec_.domain &&
                                   d.encoder_fingerprint() == spec_.encoder_fingerprint;
                          });
        if (ours) endpoint.SetForeign(false, {});
        calls_->Leave(std::move(grpc));  // Last line: `this` may be gone after it.
      });
}

std::vector<EndpointView> RemoteExpert::Views() const {
  const auto now = Clock::now();
  std::vector<EndpointView> views;
  views.reserve(endpoints_.size());
  for (const auto& endpoint : endpoints_) {
    views.push_back(endpoint->View(now));
    if (views.back().health == EndpointHealth::kDown &&
        endpoint->TakeProbe(now, options_.probe_interval)) {
      Probe(*endpoint);
    }
  }
  return views;
}

std::optional<size_t> RemoteExpert::Choose(std::optional<size_t> except) const {
  const std::uint64_t count = choices_.fetch_add(1, std::memory_order_relaxed);
  return ChooseEndpoint(Views(), except, Scramble(count));
}

std::optional<MissingReason> RemoteExpert::Unavailable() const {
  const std::vector<EndpointView> views = Views();
  const bool some = std::any_of(views.begin(), views.end(), [](const EndpointView& view) {
    return view.health != EndpointHealth::kDown;
  });
  if (some) return std::nullopt;
  return MissingReason::kDown;
}

absl::Status RemoteExpert::AllDown() const {
  const std::string addresses = absl::StrJoin(
      endpoints_, ", ",
      [](std::string* out, const auto& endpoint) { absl::StrAppend(out, endpoint->address()); });
  return absl::UnavailableError(
      absl::StrCat("no endpoint of ", spec_.domain, " is up: ", addresses));
}

absl::Status RemoteExpert::Warm(Clock::time_point deadline) {
  for (const auto& endpoint : endpoints_) endpoint->channel().GetState(/*try_to_connect=*/true);
  std::vector<std::string> away;
  for (const auto& endpoint : endpoints_) {
    grpc::Channel& channel = endpoint->channel();
    grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    while (state == GRPC_CHANNEL_IDLE || state == GRPC_CHANNEL_CONNECTING) {
      if (!channel.WaitForStateChange(state, ToSystem(deadline))) break;
      state = channel.GetState(/*try_to_connect=*/true);
    }
    if (state != GRPC_CHANNEL_READY) away.push_back(endpoint->address());
  }
  if (away.empty()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(spec_.domain, " is not connected: ", absl::StrJoin(away, ", ")));
}

std::vector<RemoteExpert::EndpointState> RemoteExpert::Endpoints() const {
  const std::vector<EndpointView> views = Views();
  std::vector<EndpointState> states;
  for (size_t i = 0; i < views.size(); ++i) {
    states.push_back({endpoints_[i]->address(), views[i].health});
  }
  return states;
}

}  // namespace orchard::experts
