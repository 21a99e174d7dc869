// orchard-expert: serves one or more experts of a model over gRPC.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "core/blas_kernels.h"
#include "core/inherited.h"
#include "core/status.h"
#include "experts/expert_service.h"
#include "experts/served_head.h"
#include "model/blas.h"
#include "model/encoder.h"
#include "model/loaded_model.h"
#include "model/manifest.h"
#include "model/store.h"
#include "server/allocator.h"
#include "server/cgroup.h"
#include "server/kernels.h"
#include "server/probe.h"
#include "server/server.h"
#include "server/service_process.h"
#include "server/settings.h"

namespace orchard::experts {
namespace {

using server::Refuse;

constexpr char kProgram[] = "orchard-expert";

struct Config {
  Config() {
    const server::Allowance allowance = server::OwnAllowance();
    service.workers = server::DivideWorkers(allowance, 0).encode;
    service.cpus = allowance.cpus;
    service.max_waiting_bytes = server::AtMostAnEighth(allowance, service.max_waiting_bytes);
  }

  server::ProcessConfig process = server::ExpertProcessConfig();
  std::optional<std::filesystem::path> model;
  std::vector<std::string> domains;
  ExpertServiceOptions service;
};

void Declare(server::Settings& settings, Config& config) {
  server::DeclareProcess(settings, config.process);
  settings.Section("Model");
  settings
      .Add("model", config.model,
           "a version folder, or a folder of versions, of which the highest is taken")
      .DefaultText("models/default, found from the executable");
  settings.Add("domain", config.domains, "a domain to serve; repeatable, all when none is given")
      .Placeholder("NAME");
  settings.Section("Batching");
  settings.Add("max-batch", config.service.max_batch, "rows that are computed together")
      .Range(1, 256)
      .OwnVariable("ORCHARD_EXPERT_MAX_BATCH");
  settings
      .Add("max-waiting", config.service.max_waiting,
           "calls that wait, per domain; one more is refused")
      .Range(1, 65536);
  settings
      .Add("max-waiting-rows", config.service.max_waiting_rows,
           "rows that wait, per domain; a call of more is taken when nothing else waits")
      .Range(1, 1'000'000);
  settings
      .AddBytes("max-waiting-bytes", config.service.max_waiting_bytes,
                "features that wait, of all domains")
      .Range(std::uint64_t{1} << 20, std::uint64_t{1} << 40)
      .DefaultText("256MiB, or an eighth of the memory where that is less");
  settings.Add("workers", config.service.workers, "threads that compute, shared by all domains")
      .Range(1, 256)
      .DefaultText("the cores that the process may use");
}

/// What is to be served: a manifest and the heads of the chosen domains.
struct Served {
  v1::ModelManifest manifest;
  std::vector<ServedExpert> experts;
};

absl::StatusOr<Served> Load(const Config& config) {
  std::filesystem::path model;
  if (config.model) {
    model = *config.model;
  } else {
    ORCHARD_ASSIGN_OR_RETURN(model, model::DefaultModel());
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::filesystem::path version, model::ResolveVersion(model));
  Served served;
  ORCHARD_ASSIGN_OR_RETURN(served.manifest, model::ReadManifest(version));
  model::PrepareInferenceThread();  // Loading warms the heads up, on this thread.
  ORCHARD_ASSIGN_OR_RETURN(auto heads,
                           model::LoadExperts(version, served.manifest, config.domains));
  for (auto& head : heads) {
    const int index = model::DomainIndex(served.manifest, head->part().domain());
    ORCHARD_ASSIGN_OR_RETURN(ExpertSpec spec, SpecOf(served.manifest, index));
    served.experts.push_back(ServedBy(std::move(spec), std::move(head)));
  }
  return served;
}

int Main(int argc, char** argv) {
  core::PutInheritedRight();
  const absl::Status tuned = server::TuneAllocator();
  Config config;
  server::Settings settings(kProgram, ORCHARD_VERSION, "Serves the experts of a model over gRPC.");
  Declare(settings, config);
  if (const std::optional<int> code = server::ProbeMain(kProgram, settings, config.process.probe,
                                                        config.process.tls, argc, argv)) {
    return *code;
  }
  // May start us again, so before a signal could be caught and forgotten.
  const core::KernelAdvice kernels = model::SettleBlasKernels(argv);
  server::Signals signals;
  if (const std::optional<int> code = settings.ParseMain(argc, argv)) return *code;
  server::StartServiceLog(config.process.log_level, tuned);
  server::LogKernels(kernels);

  server::ServiceProcess process(kProgram, ORCHARD_VERSION, config.process, signals);
  if (absl::Status bound = process.StartHttp(); !bound.ok()) return Refuse(kProgram, bound);
  absl::StatusOr<Served> served = Load(config);
  if (!served.ok()) return Refuse(kProgram, served.status());

  config.service.start_worker = model::PrepareInferenceThread;
  std::vector<std::string> domains;
  for (const ServedExpert& expert : served->experts) domains.push_back(expert.spec.domain);
  // Behind `process`, so that it would go first; RunUntilSignal has stopped the server by then.
  ExpertService service(std::move(served->experts), served->manifest.name(),
                        served->manifest.version(), process.metrics().registry(), config.service);
  server::GrpcLimits limits;
  limits.max_message_bytes = service.MaxRequestBytes();
  if (absl::Status bound =
          process.StartGrpc({{v1::Expert::service_full_name(), &service}}, limits, domains);
      !bound.ok()) {
    return Refuse(kProgram, bound);
  }
  process.metrics().OnScrape([&service] { service.RefreshMetrics(); });
  return process.RunUntilSignal(
      {.in_flight = [&] { return static_cast<std::int64_t>(service.in_flight()); },
       .flush = nullptr});
}

}  // namespace
}  // namespace orchard::experts

int main(int argc, char** argv) { return orchard::experts::Main(argc, argv); }
