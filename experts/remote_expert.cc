#include "experts/remote_expert.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "experts/internal/domain.h"

namespace orchard::experts {
namespace {

using core::Clock;

constexpr std::chrono::milliseconds kLookAgain{20};  // while warming up

/// Until one that connects has something to tell, or it is time to look again.
void AwaitChange(const internal::EndpointSet& endpoints) {
  for (const auto& endpoint : endpoints) {
    if (endpoint->state() == EndpointState::kConnecting) return endpoint->AwaitChange(kLookAgain);
  }
  std::this_thread::sleep_for(kLookAgain);  // A name is being looked up.
}

template <typename T, typename Make>
T& GivenOrOwn(T* given, std::unique_ptr<T>& own, Make make) {
  if (given != nullptr) return *given;
  own = make();
  return *own;
}

}  // namespace

RemoteExpert::RemoteExpert(ExpertSpec spec, std::vector<Target> targets,
                           RemoteExpertOptions options) {
  core::TimerQueue& timers =
      GivenOrOwn(options.timers, own_timers_, [] { return std::make_unique<core::TimerQueue>(); });
  Resolver& resolver = GivenOrOwn(options.resolver, own_resolver_,
                                  [] { return std::make_unique<Resolver>(Resolver::Options{}); });
  domain_ =
      std::make_unique<internal::Domain>(std::move(spec), std::move(options), resolver, timers);
  domain_->Begin(std::move(targets));
}

absl::StatusOr<std::unique_ptr<RemoteExpert>> RemoteExpert::Create(
    ExpertSpec spec, const std::vector<std::string>& targets, RemoteExpertOptions options) {
  if (targets.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the expert of ", spec.domain, " has no address"));
  }
  std::vector<Target> parsed;
  for (const std::string& text : targets) {
    ORCHARD_ASSIGN_OR_RETURN(Target target, ParseTarget(text));
    parsed.push_back(std::move(target));
  }
  return std::make_unique<RemoteExpert>(std::move(spec), std::move(parsed), std::move(options));
}

RemoteExpert::~RemoteExpert() { Stop(); }

void RemoteExpert::Score(SubBatch batch, CallContext context, Done done) {
  domain_->Score(std::move(batch), std::move(context), std::move(done));
}

void RemoteExpert::Stop() { domain_->Stop(); }

std::optional<MissingReason> RemoteExpert::Unavailable() const {
  return domain_->board().unavailable();
}

void RemoteExpert::Hurry() { domain_->Hurry(); }

void RemoteExpert::SetTargets(std::vector<Target> targets) {
  domain_->board().SetTargets(std::move(targets));
}

absl::Status RemoteExpert::Warm(Clock::time_point deadline) {
  while (true) {
    domain_->Tend();
    bool settled = domain_->board().LookedUp();
    std::string away;
    for (const EndpointInfo& endpoint : Endpoints()) {
      settled = settled && endpoint.state != EndpointState::kConnecting;
      if (endpoint.state == EndpointState::kUp) continue;
      AppendStanding(away, endpoint.address, endpoint.state);
    }
    if (settled && away.empty() && !Unavailable()) return absl::OkStatus();
    if (away.empty()) away = "it has no address";
    if (settled || Clock::now() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat(domain_->spec().domain, " is not connected: ", away));
    }
    AwaitChange(*domain_->board().Snapshot());
  }
}

std::vector<RemoteExpert::EndpointInfo> RemoteExpert::Endpoints() const {
  std::vector<EndpointInfo> infos;
  const Clock::time_point now = Clock::now();
  const auto endpoints = domain_->board().Snapshot();  // Held: another list may come meanwhile.
  for (const auto& endpoint : *endpoints) {
    const internal::Endpoint::Description description = endpoint->Describe(now);
    infos.push_back({.address = endpoint->address(),
                     .state = endpoint->state(),
                     .in_flight = description.in_flight,
                     .latency_seconds = description.latency_seconds,
                     .part_version = description.part.part_version,
                     .encoder_fingerprint = description.part.encoder_fingerprint});
  }
  return infos;
}

std::optional<double> RemoteExpert::ServiceSeconds() const { return domain_->ServiceSeconds(); }

size_t RemoteExpert::outstanding() const { return domain_->calls().size(); }

}  // namespace orchard::experts
