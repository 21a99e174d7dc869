#include "server/service_process.h"

#include <utility>

#include "core/status.h"
#include "server/log.h"

namespace orchard::server {

ServiceProcess::ServiceProcess(std::string program, std::string version,
                               const ProcessConfig& config)
    : program_(std::move(program)), config_(config), metrics_(program_, version) {
  if (config_.http_listen) http_ = std::make_unique<HttpServer>();
  const auto healthz = [] { return HttpServer::Response{.body = "ok\n"}; };
  const auto readyz = [this] {
    return ready_ ? HttpServer::Response{.body = "ready\n"}
                  : HttpServer::Response{.status = 503, .body = "not ready\n"};
  };
  for (HttpServer* server : {http_.get(), &metrics_http_}) {
    if (server == nullptr) continue;
    server->Get("/healthz", healthz);
    server->Get("/readyz", readyz);
  }
  metrics_http_.Get("/metrics", [this] {
    return HttpServer::Response{.body = metrics_.Text(), .content_type = MetricsPage::kContentType};
  });
}

ServiceProcess::~ServiceProcess() {
  ready_ = false;
  grpc_.reset();
}

void ServiceProcess::AddPage(const std::string& path, HttpServer::Handler handler) {
  (http_ ? *http_ : metrics_http_).Get(path, std::move(handler));
}

absl::Status ServiceProcess::StartHttp() {
  if (http_) {
    ORCHARD_ASSIGN_OR_RETURN(bound_.http, http_->Start(*config_.http_listen));
  }
  ORCHARD_ASSIGN_OR_RETURN(bound_.metrics, metrics_http_.Start(config_.metrics_listen));
  return absl::OkStatus();
}

absl::Status ServiceProcess::StartGrpc(const std::vector<HostedService>& services,
                                       const GrpcLimits& limits,
                                       const std::vector<std::string>& more_health_names) {
  ORCHARD_ASSIGN_OR_RETURN(grpc_,
                           GrpcHost::Start(config_.listen, services, limits, more_health_names));
  bound_.grpc = grpc_->address();
  grpc_->SetServing(true);
  ready_ = true;
  PrintReadyLine(program_, bound_);
  Log(LogLevel::kInfo, "ready", {{"grpc", bound_.grpc.ToString()}});
  return absl::OkStatus();
}

int ServiceProcess::RunUntilSignal(Signals& signals, AtTheEnd at_the_end) {
  const int signal = signals.Wait();
  Drain drain;
  drain.delay = config_.drain_delay;
  drain.timeout = config_.drain_timeout;
  drain.set_not_ready = [this] {
    ready_ = false;
    if (grpc_) grpc_->SetServing(false);
  };
  drain.shutdown = [this](std::chrono::steady_clock::time_point deadline) {
    return grpc_ == nullptr || grpc_->Shutdown(deadline);
  };
  drain.in_flight = std::move(at_the_end.in_flight);
  drain.flush = std::move(at_the_end.flush);
  const int code = RunDrain(signal, drain);
  if (http_) http_->Stop();
  metrics_http_.Stop();
  return code;
}

}  // namespace orchard::server
