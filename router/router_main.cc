/// orchard-router: pictures in, routed classifications out.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "core/blas_kernels.h"
#include "core/inherited.h"
#include "core/status.h"
#include "core/version.h"
#include "experts/target.h"
#include "model/blas.h"
#include "model/encoder.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "router/access_log.h"
#include "router/classifier_service.h"
#include "router/config.h"
#include "router/demand_service.h"
#include "router/engine.h"
#include "router/external_scaler.h"
#include "router/peer_watch.h"
#include "server/allocator.h"
#include "server/kernels.h"
#include "server/lifecycle.h"
#include "server/log.h"
#include "server/probe.h"
#include "server/service_process.h"

namespace orchard::router {
namespace {

constexpr char kProgram[] = "orchard-router";

using server::Refuse;

server::GrpcLimits LimitsOf(const Config& config) {
  server::GrpcLimits limits;
  limits.max_message_bytes = config.max_image_bytes;
  return limits;
}

/// Reads the settings again and asks experts where they say now. A fault changes nothing.
void ReloadExperts(Engine& engine, const std::vector<std::string>& arguments) {
  const absl::StatusOr<std::vector<std::string>> experts =
      ReadExperts(arguments, [](const char* variable) { return std::getenv(variable); });
  const absl::Status status = experts.ok() ? engine.ReloadExperts(*experts) : experts.status();
  if (status.ok()) {
    server::Log(server::LogLevel::kInfo, "experts_reloaded");
  } else {
    server::Log(server::LogLevel::kError, "experts_not_reloaded",
                {{"reason", std::string(status.message())}});
  }
}

/// By model; empty: none are named. Connections to peers are as connections to us: our own
/// certificate, and the authorities of our callers.
absl::StatusOr<std::vector<std::unique_ptr<PeerWatch>>> MakePeers(const Config& config,
                                                                  server::ServiceProcess& process,
                                                                  const ModelRegistry& models) {
  std::vector<std::unique_ptr<PeerWatch>> peers;
  if (config.router_peers.empty()) return peers;
  ORCHARD_ASSIGN_OR_RETURN(std::vector<experts::Target> targets,
                           experts::ParseTargets(config.router_peers));
  const server::TlsSettings& own = config.process.tls;
  rpc::TlsFiles tls;
  if (!own.cert.empty()) tls = {.ca = own.client_ca, .cert = own.cert, .key = own.key};
  ORCHARD_ASSIGN_OR_RETURN(std::shared_ptr<grpc::ChannelCredentials> credentials,
                           process.ChannelCredentials("peer", std::move(tls)));
  for (const ModelRegistry::Model& model : models.all()) {
    peers.push_back(std::make_unique<PeerWatch>(
        *model->demand(),
        PeerWatch::Options{
            .targets = targets, .credentials = credentials, .dns_interval = config.dns_interval}));
  }
  return peers;
}

std::vector<ExternalScaler::Model> ScaledModels(
    const ModelRegistry& models, const std::vector<std::unique_ptr<PeerWatch>>& peers) {
  std::vector<ExternalScaler::Model> scaled;
  for (const ModelRegistry::Model& model : models.all()) {
    PeerWatch* const watch = peers.empty() ? nullptr : peers[scaled.size()].get();
    scaled.push_back({.board = model->demand(), .peers = watch});
  }
  return scaled;
}

std::vector<DemandBoard*> BoardsOf(const ModelRegistry& models) {
  std::vector<DemandBoard*> boards;
  for (const ModelRegistry::Model& model : models.all()) boards.push_back(model->demand());
  return boards;
}

void RefreshMetrics(Engine& engine, const std::vector<std::unique_ptr<PeerWatch>>& peers) {
  engine.RefreshMetrics();
  if (peers.empty()) return;
  // Every model has the same peers; they are told apart by what they say of it. Of each state the
  // most that any model sees.
  std::array<size_t, kPeerStates> most{};
  for (const auto& watch : peers) {
    const std::array<size_t, kPeerStates> counts = watch->Counts();
    for (size_t state = 0; state < kPeerStates; ++state) {
      most[state] = std::max(most[state], counts[state]);
    }
  }
  engine.models().first()->demand_metrics()->RefreshPeers(most);
}

/// Streams end before their connections do: at four fifths of their age.
ExternalScaler::Options ScalerOptionsOf(const Config& config) {
  ExternalScaler::Options options;
  options.stream_age = config.process.connection_age * 4 / 5;
  return options;
}

void WarnOfMemory(const Config& config) {
  const std::string warning = MemoryWarning(config);
  if (warning.empty()) return;
  server::Log(server::LogLevel::kWarning, "memory_is_short", {{"reason", warning}});
}

int Serve(const Config& config, const std::vector<std::string>& arguments,
          server::Signals& signals) {
  server::ServiceProcess process(kProgram, core::kVersion, config.process, signals);
  if (absl::Status status = process.StartHttp(); !status.ok()) return Refuse(kProgram, status);
  absl::StatusOr<Engine::Config> engine_config = EngineConfigOf(config);
  if (!engine_config.ok()) return Refuse(kProgram, engine_config.status());
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> to_experts =
      process.ChannelCredentials("expert", config.expert_tls);
  if (!to_experts.ok()) return Refuse(kProgram, to_experts.status());
  engine_config->expert_credentials = *std::move(to_experts);
  AccessLog access_log;
  engine_config->observers = {&access_log};
  model::PrepareInferenceThread();  // Loading warms the model up, on this thread.
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Load(*engine_config, process.metrics().registry());
  if (!engine.ok()) return Refuse(kProgram, engine.status());
  Engine& ready = **engine;
  const absl::StatusOr<std::vector<std::unique_ptr<PeerWatch>>> peers =
      MakePeers(config, process, ready.models());
  if (!peers.ok()) return Refuse(kProgram, peers.status());
  ClassifierService service(ready, {.max_stream_in_flight = config.stream_in_flight});
  ExternalScaler scaler(ScaledModels(ready.models(), *peers), ScalerOptionsOf(config));
  DemandService demand(BoardsOf(ready.models()));
  const absl::Status bound =
      process.StartGrpc({{.name = v1::Classifier::service_full_name(),
                          .service = &service,
                          .end_streams = [&service] { service.EndStreams(); }},
                         {.name = externalscaler::ExternalScaler::service_full_name(),
                          .service = &scaler,
                          .end_streams = [&scaler] { scaler.EndStreams(); }},
                         {.name = v1::Demand::service_full_name(),
                          .service = &demand,
                          .end_streams = [&demand] { demand.EndStreams(); }}},
                        LimitsOf(config));
  if (!bound.ok()) return Refuse(kProgram, bound);
  // Not before all may go wrong that can: a scrape must not outlive the engine.
  process.metrics().OnScrape([&ready, &peers] { RefreshMetrics(ready, *peers); });
  if (!config.experts.empty()) {
    process.OnHangup([&ready, &arguments] { ReloadExperts(ready, arguments); });
  }
  return process.RunUntilSignal(
      {.in_flight = [&ready] { return ready.pipeline().Load().in_flight; }, .flush = {}});
}

int Main(int argc, char** argv) {
  core::PutInheritedRight();
  const absl::Status tuned = server::TuneAllocator();
  Config config;
  server::Settings settings(kProgram, core::kVersion,
                            "Routes a photograph to the experts that know its domain.");
  Declare(settings, config);
  if (const std::optional<int> code = server::ProbeMain(kProgram, settings, config.process.probe,
                                                        config.process.tls, argc, argv)) {
    return *code;
  }
  // May start us again, so before a signal could be caught and forgotten.
  const core::KernelAdvice kernels = model::SettleBlasKernels(argv);
  server::Signals signals;  // Before anything starts a thread.
  if (const std::optional<int> code = settings.ParseMain(argc, argv)) return *code;
  server::StartServiceLog(config.process.log_level, tuned);
  server::LogKernels(kernels);
  WarnOfMemory(config);
  return Serve(config, {argv + 1, argv + argc}, signals);
}

}  // namespace
}  // namespace orchard::router

int main(int argc, char** argv) { return orchard::router::Main(argc, argv); }
