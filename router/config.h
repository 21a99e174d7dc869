#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "moe/policy.h"
#include "router/engine.h"
#include "rpc/tls.h"
#include "server/cgroup.h"
#include "server/process_config.h"
#include "server/settings.h"

namespace orchard::router {

/// The settings of orchard-router; what --help says.
struct Config {
  Config() : Config(server::OwnAllowance()) {}
  explicit Config(const server::Allowance& allowed);

  server::Allowance allowance;  ///< no setting: what this process may use, which defaults follow
  server::ProcessConfig process = server::RouterProcessConfig();
  std::vector<std::string> models;  ///< [NAME=]DIR; none: found from the executable
  moe::PolicyKind default_policy = moe::PolicyKind::kExact;
  std::vector<std::string> experts;  ///< [MODEL/]DOMAIN=TARGET[,TARGET]
  std::chrono::milliseconds dns_interval{5'000};
  size_t expert_subset = 0;  ///< 0: all
  bool hedge = true;
  rpc::TlsFiles expert_tls;  ///< of connections to experts; empty: plain
  std::uint64_t max_image_bytes = std::uint64_t{16} << 20;
  std::uint64_t max_pixels = 50'000'000;
  std::uint64_t max_decode_bytes = 256ULL << 20;  ///< less where memory is short
  std::vector<std::string> formats = {"jpeg", "png", "webp"};
  std::chrono::milliseconds expert_timeout{2'000};
  std::chrono::milliseconds cold_start_wait{0};
  std::optional<size_t> expert_in_flight;  ///< absent: a quarter of in_flight
  size_t in_flight = 256;
  size_t queue = 256;
  std::uint64_t in_flight_bytes;         ///< a quarter of the memory
  std::optional<size_t> decode_workers;  ///< absent: by encode_workers and memory
  size_t encode_workers;                 ///< by cores
  model::EncoderPrecision encoder_precision = model::EncoderPrecision::kAuto;
  size_t max_batch = 4;
  size_t stream_in_flight = 16;
  std::chrono::milliseconds default_deadline{10'000};
  double target_utilisation = 0.7;
  std::chrono::milliseconds demand_window{30'000};
  std::string router_peers;  ///< TARGET[,TARGET]; empty: none
};

void Declare(server::Settings& settings, Config& config);

/// Threads that decode: as many as are set, otherwise by the encode workers and the memory.
size_t DecodeWorkers(const Config& config);

/// What the operator should know of memory before it runs out: that the decode workers, each with
/// as much as a picture may take, go beyond what is for decoding (server/cgroup.h). With values and
/// remedy; empty when all is well, as it is with the defaults.
std::string MemoryWarning(const Config& config);

/// The `expert` settings as they are now, read as at the start: from flags, variables, and the file
/// that they name. `arguments`: without the program's name. Errors: those of Settings::Parse.
absl::StatusOr<std::vector<std::string>> ReadExperts(
    const std::vector<std::string>& arguments, const server::Settings::Environment& environment);

/// What the engine needs. Errors: NOT_FOUND when there is no model where it is looked for.
absl::StatusOr<Engine::Config> EngineConfigOf(const Config& config);

}  // namespace orchard::router
