#include "experts/internal/endpoint.h"

#include <limits>
#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "experts/call_policy.h"
#include "rpc/channel_arguments.h"

namespace orchard::experts::internal {
namespace {

using Link = EndpointFacts::Link;

/// round_robin, although a channel has one address: it is the policy that watches health and stays
/// connected. No retry here: ours goes to another address. Source: serving.md sections 1.5, 1.9.
constexpr char kServiceConfig[] =
    R"({"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}})";

constexpr int kRetryBufferBytes = 8 << 20;  // transparent retries of a whole batch of maps
constexpr int kLookUpMs = 5'000;  // of a plain name, which the channel looks up for itself

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const std::string& authority,
                                           const ChannelOptions& options) {
  grpc::ChannelArguments arguments =
      rpc::ConnectionArguments({.authority = authority,
                                .first_backoff = options.initial_backoff,
                                .most_backoff = options.max_backoff});
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, kRetryBufferBytes);
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, std::numeric_limits<int>::max());
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kLookUpMs);
  arguments.SetInt(GRPC_ARG_DNS_ARES_QUERY_TIMEOUT_MS, kLookUpMs);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.max_receive_bytes));
  return grpc::CreateCustomChannel(
      address, options.credentials ? options.credentials : grpc::InsecureChannelCredentials(),
      arguments);
}

}  // namespace

Endpoint::Endpoint(std::string address, std::string authority, const ChannelOptions& options)
    : address_(std::move(address)),
      authority_(std::move(authority)),
      channel_(MakeChannel(address_, authority_, options)),
      stub_(v1::Expert::NewStub(channel_)) {}

bool Endpoint::Look() {
  const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
  core::MutexLock lock(mutex_);
  const Link before = link_;
  if (state == GRPC_CHANNEL_READY) {
    link_ = Link::kUp;
  } else if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
    link_ = Link::kDown;
  } else if (link_ == Link::kUp) {
    link_ = failed_ ? Link::kDown : Link::kConnecting;  // Lost, and not yet found again.
  }
  if (link_ == Link::kUp) {
    // Whoever answered UNAVAILABLE may as well have gone and come back since the last look.
    renewed_ = renewed_ || failed_;
    failed_ = false;
  }
  if (before == Link::kUp || link_ != Link::kUp) return false;
  ejection_.Succeeded();
  new_ = true;
  silent_ = false;
  silent_probes_ = 0;
  return true;
}

void Endpoint::AwaitChange(std::chrono::milliseconds longest) {
  const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
  channel_->WaitForStateChange(state, std::chrono::system_clock::now() + longest);
}

EndpointFacts Endpoint::Facts() const {
  core::MutexLock lock(mutex_);
  return {.link = link_,
          .foreign = foreign_,
          .bad = ejection_.bad(),
          .bad_since = ejection_.bad_since(),
          .trial = ejection_.on_trial() && load_.calls() == 0};
}

Candidate Endpoint::AsCandidate(Clock::time_point now) const {
  core::MutexLock lock(mutex_);
  // One call at a time while it is on trial; the verdict may be a moment old.
  const bool busy_trial = state_ == EndpointState::kEjected && ejection_.bad() && load_.calls() > 0;
  return {.usable = usable_ && !busy_trial,
          .connected = link_ == Link::kUp,
          .up = state_ == EndpointState::kUp,
          .resting = load_.Resting(now),
          .cost = load_.Cost(now),
          .given = given_};
}

Endpoint::Ticket Endpoint::Started(size_t rows, Clock::time_point now) {
  core::MutexLock lock(mutex_);
  return load_.Started(rows, now);
}

void Endpoint::CallEnded(const Ended& ended, const std::string& message, Clock::time_point now) {
  core::MutexLock lock(mutex_);
  if (ended.abandoned) {
    load_.Abandoned(ended.ticket, now);
    silent_ = true;
  } else if (ended.code == absl::StatusCode::kOk) {
    load_.Answered(ended.ticket, ended.reported, now);
    silent_ = false;
    silent_probes_ = 0;
    ejection_.Succeeded();
  } else if (ended.is_fault || ended.code == absl::StatusCode::kResourceExhausted ||
             ended.code == absl::StatusCode::kCancelled) {
    load_.Failed(ended.ticket, now);
  } else {
    load_.Forget(ended.ticket, now);
  }
  if (ended.pushback) load_.AskedForPatience(*ended.pushback, now);
  if (ended.is_fault) {
    fault_ = message;
    ejection_.Failed(now);
  }
  const bool lost = ended.code == absl::StatusCode::kUnavailable ||
                    (ended.code == absl::StatusCode::kCancelled && !ended.abandoned);
  if (!lost) return;
  failed_ = true;
  // Now, and not at the next look: until then every call would go where none can be answered, and
  // each retry of one costs the budget.
  const bool ready = channel_->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY;
  if (link_ != Link::kUp || !ready) link_ = Link::kDown;
}

bool Endpoint::SetForeign(const std::string& message) {
  core::MutexLock lock(mutex_);
  fault_ = message;
  return !std::exchange(foreign_, true);
}

void Endpoint::SetPart(PartSeen part) {
  core::MutexLock lock(mutex_);
  part_ = std::move(part);
}

void Endpoint::SetPartVersion(const std::string& version) {
  core::MutexLock lock(mutex_);
  if (part_.part_version != version) part_.part_version = version;
}

bool Endpoint::TakeProbe(Clock::time_point now, Clock::duration interval, bool all_bad) {
  core::MutexLock lock(mutex_);
  if (link_ != Link::kUp || probing_) return false;
  const bool waits = load_.OldestAge(now) > kLongSilence;
  const bool due = now - last_probe_ >= interval;
  const bool doubtful = (silent_ || waits || renewed_) && !ejection_.bad();
  const bool wanted = new_ || (due && (foreign_ || doubtful)) || ejection_.MayProbe(now, all_bad);
  if (!wanted) return false;
  new_ = renewed_ = false;
  probing_ = true;
  last_probe_ = now;
  return true;
}

void Endpoint::ProbeEnded(const absl::Status& status, bool ours, Clock::time_point now) {
  core::MutexLock lock(mutex_);
  probing_ = false;
  if (status.ok()) {
    silent_ = false;
    silent_probes_ = 0;
    ejection_.ProbeSucceeded();
    foreign_ = !ours;
    return;
  }
  if (absl::IsDeadlineExceeded(status)) ++silent_probes_;
  if (!ejection_.bad() && silent_probes_ < kSilentProbes) return;
  fault_ = absl::IsDeadlineExceeded(status) ? "it does not answer" : std::string(status.message());
  ejection_.Silent(now);
}

std::string Endpoint::Reason(EndpointState state) const {
  if (state == EndpointState::kUp || state == EndpointState::kConnecting) return "";
  core::MutexLock lock(mutex_);
  if (state == EndpointState::kDown && fault_.empty()) return "not connected, or not serving";
  return fault_;
}

Endpoint::Description Endpoint::Describe(Clock::time_point now) const {
  core::MutexLock lock(mutex_);
  return {.in_flight = load_.rows(), .latency_seconds = load_.Latency(now), .part = part_};
}

}  // namespace orchard::experts::internal
