#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "core/timer_queue.h"
#include "experts/resolver.h"
#include "model/encoder.h"
#include "orchard/v1/model.pb.h"
#include "router/demand_meter.h"
#include "router/fleet.h"
#include "router/served_model.h"

namespace grpc {
class ChannelCredentials;  // Training sees this header, and no gRPC.
}

namespace orchard::router {

/// A version folder to be served.
struct ModelSource {
  std::string name = {};  ///< what it is called here; empty: as the manifest calls it
  std::filesystem::path version_dir;
};

/// What has been read of it: all that is needed to find faults before anything costly is done.
struct ModelOnDisk {
  std::filesystem::path version_dir;
  /// Read once: all parts are of one model, whatever becomes of the folder meanwhile. Under the
  /// name that the model has on disk, by which remote experts know it.
  v1::ModelManifest manifest;
  std::string name;  ///< here
};

/// Errors: those of model::ReadManifest.
absl::StatusOr<ModelOnDisk> ReadModel(const ModelSource& source);

/// How one model is served.
struct ServingOptions {
  size_t place = 0;            ///< ServedModel::place
  ExpertTargets targets = {};  ///< by domain; none at all: every expert runs in this process
  std::chrono::milliseconds dns_interval{5'000};  ///< between two look-ups of a target's name
  size_t expert_subset = 0;  ///< endpoints of a domain to connect to at most; 0: all
  experts::Resolver::LookUp look_up = experts::LookUpHost;  ///< how
  bool hedge = true;  ///< whether late calls to experts are hedged
  std::shared_ptr<grpc::ChannelCredentials> expert_credentials = nullptr;  ///< null: in the clear
  model::EncoderPrecision encoder_precision = model::EncoderPrecision::kAuto;
  size_t max_batch = 4;  ///< pictures a forward pass
  /// `in_flight` is for experts elsewhere: each encode worker waits for those in this process.
  size_t expert_in_flight = 0;
  core::Clock::duration cold_start_wait = core::Clock::duration::zero();
  DemandMeter::Options demand = {};  ///< how the need for replicas of experts is reckoned
};

/// Loads and warms up, and says so in the log. The registry outlives the model; the timers end
/// before it. Errors name the file: those of model::LoadRouterModel and LoadExperts.
absl::StatusOr<std::shared_ptr<ServedModel>> LoadModel(ModelOnDisk disk, ServingOptions options,
                                                       core::TimerQueue& timers,
                                                       prometheus::Registry& registry);

}  // namespace orchard::router
