/// orchard-router: pictures in, routed classifications out.

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "core/blas_kernels.h"
#include "core/clock.h"
#include "core/version.h"
#include "model/blas.h"
#include "model/encoder.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "router/access_log.h"
#include "router/classifier_service.h"
#include "router/config.h"
#include "router/engine.h"
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
  const core::Clock::time_point begin = core::Clock::now();
  model::PrepareInferenceThread();  // Loading warms the model up, on this thread.
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Load(*engine_config, process.metrics().registry());
  if (!engine.ok()) return Refuse(kProgram, engine.status());
  server::Log(server::LogLevel::kInfo, "model_loaded",
              {{"model", (*engine)->catalogue().version},
               {"path", engine_config->version_dir.string()},
               {"experts", config.experts.empty() ? "in process" : "remote"},
               {"encode_workers", config.encode_workers},
               {"encoder_precision", model::Name((*engine)->encoder().precision())},
               {"ms", core::Milliseconds(core::Clock::now() - begin)}});
  Engine& ready = **engine;
  ClassifierService service(ready, {.max_stream_in_flight = config.stream_in_flight});
  const absl::Status bound =
      process.StartGrpc({{.name = v1::Classifier::service_full_name(),
                          .service = &service,
                          .end_streams = [&service] { service.EndStreams(); }}},
                        LimitsOf(config));
  if (!bound.ok()) return Refuse(kProgram, bound);
  // Not before all may go wrong that can: a scrape must not outlive the engine.
  process.metrics().OnScrape([&ready] { ready.RefreshMetrics(); });
  if (!config.experts.empty()) {
    process.OnHangup([&ready, &arguments] { ReloadExperts(ready, arguments); });
  }
  return process.RunUntilSignal(
      {.in_flight = [&ready] { return ready.pipeline().Load().in_flight; }, .flush = {}});
}

int Main(int argc, char** argv) {
  server::PutInheritedRight();
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
  return Serve(config, {argv + 1, argv + argc}, signals);
}

}  // namespace
}  // namespace orchard::router

int main(int argc, char** argv) { return orchard::router::Main(argc, argv); }
