#include "router/fleet.h"

#include <algorithm>
#include <chrono>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "core/clock.h"
#include "core/status.h"
#include "experts/expert_spec.h"
#include "experts/head_scorer.h"
#include "experts/in_process_expert.h"
#include "experts/remote_expert.h"
#include "model/loaded_model.h"
#include "server/address.h"
#include "server/log.h"

namespace orchard::router {
namespace {

/// For all first connections together; on a healthy network they take a few milliseconds.
constexpr std::chrono::milliseconds kWarmUp{500};

/// The addresses of one setting's right side; faults are added with the setting's text.
std::vector<std::string> ParseAddresses(const std::string& setting, const std::string& text,
                                        std::vector<std::string>& faults) {
  std::vector<std::string> addresses = absl::StrSplit(text, ',', absl::SkipWhitespace());
  if (addresses.empty()) faults.push_back(absl::StrCat("\"", setting, "\" names no address"));
  for (const std::string& address : addresses) {
    const absl::Status status = server::ParseAddress(address).status();
    if (!status.ok()) faults.push_back(absl::StrCat("\"", setting, "\": ", status.message()));
  }
  return addresses;
}

}  // namespace

absl::StatusOr<ExpertAddresses> ParseExpertAddresses(std::span<const std::string> settings,
                                                     std::span<const std::string> domains) {
  ExpertAddresses by_domain(domains.size());
  std::vector<std::string> faults;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      faults.push_back(absl::StrCat("\"", setting, "\" is not DOMAIN=ADDRESS[,ADDRESS]"));
      continue;
    }
    const std::string domain = setting.substr(0, equals);
    const auto known = std::ranges::find(domains, domain);
    if (known == domains.end()) {
      faults.push_back(absl::StrCat("\"", setting, "\": the model has no domain \"", domain,
                                    "\", it has ", absl::StrJoin(domains, ", ")));
      continue;
    }
    const auto addresses = ParseAddresses(setting, setting.substr(equals + 1), faults);
    auto& own = by_domain[static_cast<size_t>(known - domains.begin())];
    own.insert(own.end(), addresses.begin(), addresses.end());
  }
  if (faults.empty()) return by_domain;
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

absl::StatusOr<std::unique_ptr<ExpertFleet>> RemoteFleet(
    const v1::ModelManifest& manifest, const ExpertAddresses& addresses,
    const std::function<void(size_t domain)>& on_mismatch,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<experts::ExpertSpec> specs,
                           experts::SpecsOf(manifest));
  std::vector<std::unique_ptr<experts::Expert>> fleet;
  const core::Clock::time_point deadline = core::Clock::now() + kWarmUp;
  for (size_t domain = 0; domain < specs.size(); ++domain) {
    if (addresses[domain].empty()) {
      fleet.push_back(nullptr);
      continue;
    }
    experts::RemoteExpertOptions options;
    options.seed = domain;
    options.credentials = credentials;
    options.on_fingerprint_mismatch = [on_mismatch, domain, name = specs[domain].domain](
                                          const std::string& address, const std::string& message) {
      on_mismatch(domain);
      server::Log(server::LogLevel::kError, "expert_mismatch",
                  {{"domain", name}, {"address", address}, {"reason", message}});
    };
    ORCHARD_ASSIGN_OR_RETURN(
        std::unique_ptr<experts::RemoteExpert> expert,
        experts::RemoteExpert::Create(specs[domain], addresses[domain], std::move(options)));
    if (const absl::Status warm = expert->Warm(deadline); !warm.ok()) {
      server::Log(server::LogLevel::kWarning, "expert_not_connected",
                  {{"domain", specs[domain].domain}, {"reason", std::string(warm.message())}});
    }
    fleet.push_back(std::move(expert));
  }
  return std::make_unique<ExpertFleet>(std::move(fleet));
}

}  // namespace orchard::router
