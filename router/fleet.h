#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "experts/expert.h"
#include "orchard/v1/model.pb.h"

namespace grpc {
class ChannelCredentials;  // Training sees this header, and no gRPC.
}

namespace orchard::router {

/// The experts that this router knows, by domain of the model. In process or behind addresses:
/// here is the only place where a router could tell, and it does not. Thread-safe.
class ExpertFleet {
 public:
  /// `experts` has one entry a domain; null where nobody knows the domain: it counts as down.
  explicit ExpertFleet(std::vector<std::unique_ptr<experts::Expert>> experts)
      : experts_(std::move(experts)) {}

  size_t domains() const { return experts_.size(); }

  /// The expert of a domain that Unavailable() gave no reason for.
  experts::Expert& expert(size_t domain) { return *experts_[domain]; }

  /// Ends the calls in progress: for what is on its way when the router goes. Every `done` has run
  /// when this returns.
  void Stop() {
    for (const auto& expert : experts_) {
      if (expert != nullptr) expert->Stop();
    }
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

 private:
  const std::vector<std::unique_ptr<experts::Expert>> experts_;
};

/// Where experts are, by domain of the model; empty: nowhere.
using ExpertAddresses = std::vector<std::vector<std::string>>;

/// Reads settings of the form DOMAIN=ADDRESS[,ADDRESS]; a domain may come more than once.
/// Errors: INVALID_ARGUMENT with every fault at once, naming the model's domains where one is
/// unknown.
absl::StatusOr<ExpertAddresses> ParseExpertAddresses(std::span<const std::string> settings,
                                                     std::span<const std::string> domains);

/// All experts of a version folder, loaded into this process. Errors: model::LoadExperts'.
absl::StatusOr<std::unique_ptr<ExpertFleet>> InProcessFleet(
    const std::filesystem::path& version_dir, const v1::ModelManifest& manifest);

/// Experts behind addresses; domains without one are down. Connects, and gives that a moment, so
/// that the first request finds connections; an expert that can't be reached is no error.
/// `credentials` are those of its channels; null: in the clear.
/// `on_mismatch` is called, on any thread, with a domain when an endpoint of it serves an expert of
/// another encoder. Errors: INVALID_ARGUMENT naming an address that is none.
absl::StatusOr<std::unique_ptr<ExpertFleet>> RemoteFleet(
    const v1::ModelManifest& manifest, const ExpertAddresses& addresses,
    const std::function<void(size_t domain)>& on_mismatch,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

}  // namespace orchard::router
