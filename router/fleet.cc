#include "router/fleet.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/clock.h"
#include "core/random.h"
#include "core/status.h"
#include "experts/expert_spec.h"
#include "experts/head_scorer.h"
#include "experts/in_process_expert.h"
#include "model/loaded_model.h"
#include "server/limited_log.h"

namespace orchard::router {
namespace {

using core::Clock;
using experts::EndpointState;
using experts::EndpointTransition;

/// For all first connections together; on a healthy network they take a few milliseconds.
constexpr std::chrono::milliseconds kWarmUp{500};

/// A domain by its places.
struct Place {
  size_t model;
  size_t domain;
};

/// "[MODEL/]DOMAIN" → where it is; a fault otherwise.
absl::StatusOr<Place> PlaceOf(const std::string& left, std::span<const NamedDomains> models) {
  const size_t slash = left.find('/');
  size_t model = 0;
  if (slash != std::string::npos) {
    const std::string name = left.substr(0, slash);
    const auto known = std::ranges::find(models, name, &NamedDomains::model);
    if (known == models.end()) {
      const auto names = [](std::string* out, const NamedDomains& one) { *out += one.model; };
      return absl::InvalidArgumentError(absl::StrCat(
          "no model is called \"", name, "\"; served here: ", absl::StrJoin(models, ", ", names)));
    }
    model = static_cast<size_t>(known - models.begin());
  }
  const std::string domain = slash == std::string::npos ? left : left.substr(slash + 1);
  const std::vector<std::string>& domains = models[model].domains;
  const auto known = std::ranges::find(domains, domain);
  if (known != domains.end()) {
    return Place{.model = model, .domain = static_cast<size_t>(known - domains.begin())};
  }
  return absl::InvalidArgumentError(absl::StrCat("the model ", models[model].model,
                                                 " has no domain \"", domain, "\", it has ",
                                                 absl::StrJoin(domains, ", ")));
}

absl::Status AddTargets(const std::string& setting, std::span<const NamedDomains> models,
                        std::vector<ExpertTargets>& by_model) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos) {
    return absl::InvalidArgumentError("is not [MODEL/]DOMAIN=TARGET[,TARGET]");
  }
  ORCHARD_ASSIGN_OR_RETURN(const Place place, PlaceOf(setting.substr(0, equals), models));
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<experts::Target> targets,
                           experts::ParseTargets(setting.substr(equals + 1)));
  std::vector<experts::Target>& known = by_model[place.model][place.domain];
  known.insert(known.end(), targets.begin(), targets.end());
  return absl::OkStatus();
}

void LogTransition(const std::string& domain, const EndpointTransition& transition) {
  const bool well =
      transition.state == EndpointState::kUp || transition.state == EndpointState::kConnecting;
  server::LogLimited(
      well ? server::LogLevel::kInfo : server::LogLevel::kWarning, "expert_endpoint",
      absl::StrCat(domain, " ", transition.address, " ", std::string(Name(transition.was)), " ",
                   std::string(Name(transition.state))),
      {{"domain", domain},
       {"address", transition.address},
       {"state", Name(transition.state)},
       {"was", Name(transition.was)},
       {"reason", transition.reason}});
}

/// The domain's counters, and lines in the log.
experts::FleetEvents EventsOf(const RemoteFleetOptions& options, size_t index,
                              const std::string& domain) {
  experts::FleetEvents events;
  if (options.events_of) events = options.events_of(index);
  events.on_transition =
      [domain, count = std::move(events.on_transition)](const EndpointTransition& transition) {
        if (count) count(transition);
        LogTransition(domain, transition);
      };
  events.on_look_up_failed = [domain](const std::string& host, const absl::Status& why) {
    if (absl::IsNotFound(why)) {
      server::LogLimited(server::LogLevel::kWarning, "expert_without_address",
                         absl::StrCat(domain, " ", host), {{"domain", domain}, {"host", host}});
      return;
    }
    server::LogLimited(
        server::LogLevel::kWarning, "expert_look_up_failed", absl::StrCat(domain, " ", host),
        {{"domain", domain}, {"host", host}, {"reason", std::string(why.message())}});
  };
  return events;
}

void WarnOfDomainsWithoutTarget(std::span<const std::string> domains,
                                const ExpertTargets& targets) {
  std::vector<std::string> without;
  for (size_t domain = 0; domain < domains.size(); ++domain) {
    if (targets[domain].empty()) without.push_back(domains[domain]);
  }
  if (without.empty()) return;
  server::Log(server::LogLevel::kWarning, "domains_without_expert",
              {{"domains", absl::StrJoin(without, ",")},
               {"remedy", "name an --expert for each, or they count as down"}});
}

}  // namespace

absl::Status ExpertFleet::CheckReload(const ExpertTargets& targets) const {
  if (!remote_) {
    return absl::FailedPreconditionError(
        "all experts run in this process; start the router with --expert to ask others");
  }
  // Else a file that lost its line would take every domain down, and be told that all is well.
  if (!AnyTarget(targets)) {
    return absl::InvalidArgumentError(
        "no --expert is set any more; experts move into this process only with a restart");
  }
  return absl::OkStatus();
}

absl::Status ExpertFleet::Reload(const ExpertTargets& targets) {
  ORCHARD_RETURN_IF_ERROR(CheckReload(targets));
  WarnOfDomainsWithoutTarget(remote_->domains, targets);
  for (size_t domain = 0; domain < experts_.size(); ++domain) {
    remote_->experts[domain]->SetTargets(targets[domain]);
  }
  return absl::OkStatus();
}

bool AnyTarget(const ExpertTargets& targets) {
  return std::ranges::any_of(targets, [](const auto& domain) { return !domain.empty(); });
}

absl::StatusOr<std::vector<ExpertTargets>> ParseExpertTargets(
    std::span<const std::string> settings, std::span<const NamedDomains> models) {
  std::vector<ExpertTargets> by_model;
  for (const NamedDomains& model : models) by_model.emplace_back(model.domains.size());
  std::vector<std::string> faults;
  for (const std::string& setting : settings) {
    const absl::Status added = AddTargets(setting, models, by_model);
    if (!added.ok()) faults.push_back(absl::StrCat("\"", setting, "\": ", added.message()));
  }
  if (faults.empty()) return by_model;
  return absl::InvalidArgumentError(absl::StrCat("--expert: ", absl::StrJoin(faults, "; ")));
}

absl::StatusOr<std::unique_ptr<ExpertFleet>> InProcessFleet(
    const std::filesystem::path& version_dir, const v1::ModelManifest& manifest) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<experts::ExpertSpec> specs,
                           experts::SpecsOf(manifest));
  ORCHARD_ASSIGN_OR_RETURN(std::vector<std::unique_ptr<model::ExpertHead>> heads,
                           model::LoadExperts(version_dir, manifest, {}));
  std::vector<std::unique_ptr<experts::Expert>> fleet;
  for (size_t domain = 0; domain < heads.size(); ++domain) {
    fleet.push_back(std::make_unique<experts::InProcessExpert>(
        specs[domain], experts::ScorerOf(std::move(heads[domain]))));
  }
  return std::make_unique<ExpertFleet>(std::move(fleet));
}

absl::StatusOr<std::unique_ptr<ExpertFleet>> RemoteFleet(const v1::ModelManifest& manifest,
                                                         const ExpertTargets& targets,
                                                         RemoteFleetOptions options) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<experts::ExpertSpec> specs,
                           experts::SpecsOf(manifest));
  auto remote = std::make_unique<ExpertFleet::Remote>(experts::Resolver::Options{
      .interval = options.dns_interval,
      .hurry = std::min(options.dns_interval, experts::Resolver::Options{}.hurry),
      .look_up = options.look_up});
  for (const experts::ExpertSpec& spec : specs) remote->domains.push_back(spec.domain);
  WarnOfDomainsWithoutTarget(remote->domains, targets);
  // Who we are: drawn, not named, so that no two routers are the same one by mistake (decision 17).
  const std::uint64_t router = core::Random64();
  std::vector<std::unique_ptr<experts::Expert>> fleet;
  for (size_t domain = 0; domain < specs.size(); ++domain) {
    experts::RemoteExpertOptions expert;
    expert.subset = options.subset;
    expert.router = router;
    expert.credentials = options.credentials;
    expert.hedge = options.hedge;
    expert.resolver = &remote->resolver;
    expert.timers = &remote->timers;
    expert.events = EventsOf(options, domain, specs[domain].domain);
    expert.seed = core::Random64();  // Or all routers of a fleet would choose alike.
    auto made =
        std::make_unique<experts::RemoteExpert>(specs[domain], targets[domain], std::move(expert));
    remote->experts.push_back(made.get());
    fleet.push_back(std::move(made));
  }
  // All connect at the same time by now: to wait for one is to wait for all.
  const Clock::time_point deadline = Clock::now() + kWarmUp;
  for (size_t domain = 0; domain < specs.size(); ++domain) {
    const absl::Status warm = remote->experts[domain]->Warm(deadline);
    if (warm.ok() || targets[domain].empty()) continue;
    server::Log(server::LogLevel::kWarning, "expert_not_connected",
                {{"domain", specs[domain].domain}, {"reason", std::string(warm.message())}});
  }
  return std::make_unique<ExpertFleet>(std::move(remote), std::move(fleet));
}

}  // namespace orchard::router
