#include "server/service_process.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"

#include "core/status.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::server {
namespace {

constexpr std::chrono::seconds kLogPatience{2};  // Whoever reads stderr may not be reading.

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

}  // namespace

int Refuse(const std::string& program, const absl::Status& status) {
  FlushLog(kLogPatience);  // The reason is the last line: a pod's status shows no other one.
  std::fprintf(stderr, "%s: %s\n", program.c_str(), std::string(status.message()).c_str());
  return 1;
}

void StartServiceLog(LogLevel level, const absl::Status& tuned) {
  StartLog(level);
  if (tuned.ok()) return;
  Log(LogLevel::kWarning, "allocator_not_tuned", {{"reason", std::string(tuned.message())}});
}

ServiceProcess::ServiceProcess(std::string program, std::string version,
                               const ProcessConfig& config, Signals& signals)
    : program_(std::move(program)),
      config_(config),
      signals_(signals),
      metrics_(program_, version),
      credentials_(metrics_.registry()) {
  if (config_.http_listen) {
    http_ = std::make_unique<HttpServer>(HttpServer::Options{.tls_wanted = config_.tls.http});
  }
  metrics_http_ =
      std::make_unique<HttpServer>(HttpServer::Options{.tls_wanted = config_.tls.metrics});
  for (HttpServer* server : {http_.get(), metrics_http_.get()}) {
    if (server == nullptr) continue;
    server->Get("/healthz", [this] { return Healthz(); });
    server->Get("/readyz", [this] { return Readyz(); });
  }
  metrics_http_->Get("/metrics", [this] {
    return HttpServer::Response{.body = metrics_.Text(), .content_type = MetricsPage::kContentType};
  });
}

ServiceProcess::~ServiceProcess() {
  // The pages look at the gRPC server: they end first.
  if (http_) http_->Stop();
  metrics_http_->Stop();
}

HttpServer::Response ServiceProcess::Healthz() const {
  const GrpcHost* const grpc = serving_;
  // Who drains is being ended anyhow: no reason to kill it sooner.
  if (grpc != nullptr && phase_ != Phase::kDraining && !grpc->alive()) {
    return {.status = 503, .body = "gRPC's threads are stuck\n"};
  }
  return {.body = "ok\n"};
}

HttpServer::Response ServiceProcess::Readyz() const {
  switch (phase_) {
    case Phase::kLoading:
      return {.status = 503, .body = "not ready: loading\n"};
    case Phase::kDraining:
      return {.status = 503, .body = "not ready: draining\n"};
    case Phase::kServing:
      break;
  }
  if (ready()) return {.body = "ready\n"};
  return {.status = 503, .body = "not ready: no room for another connection\n"};
}

bool ServiceProcess::ready() const {
  const GrpcHost* const grpc = serving_;
  return phase_ == Phase::kServing && grpc != nullptr && grpc->accepting();
}

void ServiceProcess::AddPage(const std::string& path, HttpServer::Handler handler) {
  (http_ ? *http_ : *metrics_http_).Get(path, std::move(handler));
}

absl::Status ServiceProcess::StartHttp() {
  ORCHARD_RETURN_IF_ERROR(credentials_.LoadListeners(config_.tls));
  if (http_) {
    ORCHARD_ASSIGN_OR_RETURN(bound_.http, http_->Start(*config_.http_listen, credentials_.http()));
  }
  ORCHARD_ASSIGN_OR_RETURN(bound_.metrics,
                           metrics_http_->Start(config_.metrics_listen, credentials_.http()));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ServiceProcess::ChannelCredentials(
    const std::string& use, rpc::TlsFiles files) {
  return credentials_.ForChannels(use, std::move(files));
}

void ServiceProcess::OnHangup(std::function<void()> hangup) {
  on_hangup_.push_back(std::move(hangup));
}

void ServiceProcess::WarnOfPlainListeners() const {
  constexpr char kPages[] = "whoever reaches this port may read its pages, and what others read";
  const auto warn = [](const char* port, const Address& bound, const char* message,
                       const std::string& flags) {
    if (IsLoopback(bound.host)) return;
    Log(LogLevel::kWarning, "plain_listener",
        {{port, bound.ToString()},
         {"message", message},
         {"remedy", flags + ", or a network that others can't reach"}});
  };
  const bool has_certificate = credentials_.http() != nullptr;
  if (credentials_.listener() == nullptr) {
    warn("grpc", bound_.grpc, "whoever reaches this port may read and make calls",
         "--tls-cert and --tls-key");
  }
  if (http_ && !(has_certificate && config_.tls.http)) {
    warn("http", bound_.http.value(), kPages, "--http-tls with --tls-cert and --tls-key");
  }
  if (!(has_certificate && config_.tls.metrics)) {
    warn("metrics", bound_.metrics.value(), kPages, "--metrics-tls with --tls-cert and --tls-key");
  }
}

absl::Status ServiceProcess::StartGrpc(const std::vector<HostedService>& services,
                                       GrpcLimits limits,
                                       const std::vector<std::string>& more_health_names) {
  limits.max_connections = config_.max_connections;
  // Two messages of the largest size at least, or none of them would ever come in.
  limits.memory_bytes = std::max(config_.max_buffer_bytes, 2 * limits.max_message_bytes);
  limits.connection_age = config_.connection_age;
  limits.connection_grace = config_.connection_grace;
  ORCHARD_ASSIGN_OR_RETURN(grpc_, GrpcHost::Start(config_.listen, services, limits,
                                                  more_health_names, credentials_.listener()));
  bound_.grpc = grpc_->address();
  serving_ = grpc_.get();
  if (signals_.Received()) {
    Log(LogLevel::kInfo, "signal_while_loading");
    return absl::OkStatus();
  }
  WarnOfPlainListeners();
  grpc_->SetServing(true);
  phase_ = Phase::kServing;
  PrintReadyLine(program_, bound_);
  Log(LogLevel::kInfo, "ready", {{"grpc", bound_.grpc.ToString()}});
  return absl::OkStatus();
}

int ServiceProcess::RunUntilSignal(AtTheEnd at_the_end) {
  signals_.OnHangup([this] {
    Log(LogLevel::kInfo, "reload");
    credentials_.Reload();
    for (const std::function<void()>& hangup : on_hangup_) hangup();
  });
  const int signal = signals_.Wait();
  Drain drain;
  // Who never was ready has nobody to wait for.
  const bool was_ready = phase_ == Phase::kServing;
  drain.delay = was_ready ? config_.drain_delay : std::chrono::milliseconds(0);
  drain.timeout = config_.drain_timeout;
  drain.set_not_ready = [this] {
    phase_ = Phase::kDraining;
    if (grpc_) grpc_->SetServing(false);
  };
  drain.shutdown = [this](std::chrono::steady_clock::time_point deadline) {
    return grpc_ == nullptr || grpc_->Shutdown(deadline);
  };
  drain.in_flight = std::move(at_the_end.in_flight);
  drain.flush = std::move(at_the_end.flush);
  const int code = RunDrain(signal, drain);
  FlushLimitedLog(/*at_the_end=*/true);
  if (http_) http_->Stop();
  metrics_http_->Stop();
  signals_.OnHangup(nullptr);
  return code;
}

}  // namespace orchard::server
