#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/timer_queue.h"
#include "experts/expert.h"
#include "experts/fleet_events.h"
#include "experts/remote_expert.h"
#include "experts/resolver.h"
#include "experts/target.h"
#include "orchard/v1/model.pb.h"

namespace grpc {
class ChannelCredentials;  // Training sees this header, and no gRPC.
}

namespace orchard::router {

/// Where experts are, by domain of the model; empty: nowhere.
using ExpertTargets = std::vector<std::vector<experts::Target>>;

/// The experts that this router knows, by domain of the model. In process or behind addresses:
/// here is the only place where a router could tell, and it does not. Thread-safe.
class ExpertFleet {
 public:
  /// `experts` has one entry a domain; null where nobody knows the domain: it counts as down.
  explicit ExpertFleet(std::vector<std::unique_ptr<experts::Expert>> experts)
      : experts_(std::move(experts)) {}

  /// What experts behind addresses share.
  struct Remote {
    explicit Remote(experts::Resolver::Options options) : resolver(std::move(options)) {}

    experts::Resolver resolver;
    core::TimerQueue timers;
    std::vector<experts::RemoteExpert*> experts;  // by domain; the fleet owns them
    std::vector<std::string> domains;             // their names
  };

  /// Experts behind addresses, one a domain.
  ExpertFleet(std::unique_ptr<Remote> remote, std::vector<std::unique_ptr<experts::Expert>> experts)
      : remote_(std::move(remote)), experts_(std::move(experts)) {}

  size_t domains() const { return experts_.size(); }

  /// The expert of a domain that Unavailable() gave no reason for.
  experts::Expert& expert(size_t domain) { return *experts_[domain]; }

  /// Ends the calls in progress: for what is on its way when the router goes. Every `done` has run
  /// when this returns.
  void Stop() {
    stopped_ = true;
    for (const auto& expert : experts_) {
      if (expert != nullptr) expert->Stop();
    }
  }

  /// Whether Stop() was called: nobody is worth waiting for.
  bool stopped() const { return stopped_; }

  /// Somebody waits for a domain that is being started.
  void Hurry(size_t domain) {
    if (experts_[domain] != nullptr) experts_[domain]->Hurry();
  }

  /// Why nobody would answer for a domain; nothing: worth asking.
  std::optional<experts::MissingReason> Unavailable(size_t domain) const {
    if (experts_[domain] == nullptr) return experts::MissingReason::kDown;
    return experts_[domain]->Unavailable();
  }

  /// The same for every domain; `out` has one place for each. Allocates nothing, takes no lock.
  void Unavailable(std::span<std::optional<experts::MissingReason>> out) const {
    for (size_t domain = 0; domain < experts_.size(); ++domain) out[domain] = Unavailable(domain);
  }

  /// What a domain's expert is made of; empty where it runs in this process.
  std::vector<experts::RemoteExpert::EndpointInfo> Endpoints(size_t domain) const {
    return remote_ ? remote_->experts[domain]->Endpoints()
                   : std::vector<experts::RemoteExpert::EndpointInfo>();
  }

  /// Whether experts run elsewhere, so that there are replicas of them.
  bool remote() const { return remote_ != nullptr; }

  /// What a row takes of one replica of a domain's expert; nothing before one said so, and where it
  /// runs in this process.
  std::optional<double> ServiceSeconds(size_t domain) const {
    return remote_ ? remote_->experts[domain]->ServiceSeconds() : std::nullopt;
  }

  /// Where experts are from now on, and a look-up of every name at once. Calls in progress end as
  /// they began. Errors: FAILED_PRECONDITION when the experts run in this process; INVALID_ARGUMENT
  /// when no domain has a target, and nothing changes.
  absl::Status Reload(const ExpertTargets& targets);

  /// Reload's errors, and nothing else.
  absl::Status CheckReload(const ExpertTargets& targets) const;

 private:
  const std::unique_ptr<Remote> remote_;  // Before the experts, which use it; null: in process.
  const std::vector<std::unique_ptr<experts::Expert>> experts_;
  std::atomic<bool> stopped_ = false;
};

/// A model as settings name it.
struct NamedDomains {
  std::string model;
  std::vector<std::string> domains;
};

/// Reads settings of the form [MODEL/]DOMAIN=TARGET[,TARGET] (experts/target.h) into targets by
/// model; a domain may come more than once. Without MODEL it is a domain of the first model.
/// Errors: INVALID_ARGUMENT with every fault at once, naming the models where another one is named,
/// and the model's domains where one is unknown.
absl::StatusOr<std::vector<ExpertTargets>> ParseExpertTargets(std::span<const std::string> settings,
                                                              std::span<const NamedDomains> models);

/// Whether any domain has a target.
bool AnyTarget(const ExpertTargets& targets);

/// All experts of a version folder, loaded into this process. Errors: model::LoadExperts'.
absl::StatusOr<std::unique_ptr<ExpertFleet>> InProcessFleet(
    const std::filesystem::path& version_dir, const v1::ModelManifest& manifest);

struct RemoteFleetOptions {
  std::chrono::milliseconds dns_interval{5'000};  ///< between two look-ups of a name
  bool hedge = true;
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  ///< null: in the clear
  /// Endpoints of a domain to connect to at most (experts/subset.h); 0: all.
  size_t subset = 0;
  experts::Resolver::LookUp look_up = experts::LookUpHost;
  /// Counters of a domain; on_transition and on_look_up_failed are wrapped: both are logged too.
  std::function<experts::FleetEvents(size_t domain)> events_of = nullptr;
};

/// Experts behind addresses; domains without one are down, and said in a line. Connects to all at
/// the same time, and gives that a moment, so that the first request finds connections; an expert
/// that can't be reached is no error. Errors: those of a manifest whose experts can't be served.
absl::StatusOr<std::unique_ptr<ExpertFleet>> RemoteFleet(const v1::ModelManifest& manifest,
                                                         const ExpertTargets& targets,
                                                         RemoteFleetOptions options);

}  // namespace orchard::router
