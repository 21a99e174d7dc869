#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "server/credentials.h"
#include "server/grpc_host.h"
#include "server/http.h"
#include "server/lifecycle.h"
#include "server/metrics.h"
#include "server/process_config.h"
#include "server/ready_line.h"

namespace orchard::server {

/// Says why the process does not start: an operator reads it, so as a line on stderr and not as a
/// log. Returns the exit code, 1.
int Refuse(const std::string& program, const absl::Status& status);

/// Starts the log, and says in it when malloc could not be tuned (allocator.h), which is harmless.
void StartServiceLog(LogLevel level, const absl::Status& tuned);

/// The life of a service: ports, readiness, metrics, TLS, ready line, reload, drain. See server.h
/// for a main.
///
/// Ready means: StartGrpc() came back, no signal has come, and there is room for another
/// connection. /readyz (200 or 503) says so at the moment it is asked; the gRPC health service,
/// whom only the connected can ask, leaves the room out. /healthz is 200 for as long as the HTTP
/// thread and gRPC's callback threads turn.
class ServiceProcess {
 public:
  /// `signals` outlives it.
  ServiceProcess(std::string program, std::string version, const ProcessConfig& config,
                 Signals& signals);
  ~ServiceProcess();

  /// Register metrics here, before StartGrpc().
  MetricsPage& metrics() { return metrics_; }

  /// Adds a page to the HTTP port (or to the metrics port when there is none); before StartHttp().
  void AddPage(const std::string& path, HttpServer::Handler handler);

  /// Reads the listeners' TLS files and binds the HTTP and metrics ports; not ready yet. Early,
  /// before a model is loaded, so that a wrong file and a port in use are told before seconds were
  /// spent. Errors: INVALID_ARGUMENT naming the file; UNAVAILABLE naming the address.
  absl::Status StartHttp();

  /// Credentials of channels to others, followed and measured like the listeners' (credentials.h).
  /// After StartHttp(). Errors: INVALID_ARGUMENT naming the file.
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(
      const std::string& use, rpc::TlsFiles files);

  /// Also done on SIGHUP, after the TLS files were looked at; on the main thread. Before
  /// RunUntilSignal().
  void OnHangup(std::function<void()> hangup);

  /// Binds the gRPC port with the services, which must be warm; becomes ready and prints the ready
  /// line, unless a signal has come: then it is never ready, and RunUntilSignal() ends at once.
  /// The services may die before this object, but not before RunUntilSignal() returned: it stops
  /// the server. `limits` are completed from the process' settings. Errors: UNAVAILABLE naming the
  /// address.
  absl::Status StartGrpc(const std::vector<HostedService>& services, GrpcLimits limits = {},
                         const std::vector<std::string>& more_health_names = {});

  bool ready() const;
  const BoundAddresses& bound() const { return bound_; }
  GrpcHost* grpc() { return grpc_.get(); }

  struct AtTheEnd {
    std::function<std::int64_t()> in_flight = nullptr;  ///< calls in progress, for the log
    std::function<void()> flush = nullptr;  ///< after the last call, while /metrics still answers
  };

  /// Waits for SIGTERM or SIGINT and takes files anew on SIGHUP; drains (lifecycle.h), stops the
  /// ports, returns the exit code.
  int RunUntilSignal(AtTheEnd at_the_end);

 private:
  HttpServer::Response Healthz() const;
  HttpServer::Response Readyz() const;
  void WarnOfPlainListeners() const;

  const std::string program_;
  const ProcessConfig config_;
  Signals& signals_;
  MetricsPage metrics_;
  Credentials credentials_;
  std::vector<std::function<void()>> on_hangup_;
  enum class Phase : std::uint8_t { kLoading, kServing, kDraining };
  std::atomic<Phase> phase_ = Phase::kLoading;
  std::atomic<const GrpcHost*> serving_ = nullptr;  // for the HTTP thread; null before it is there
  BoundAddresses bound_;
  std::unique_ptr<HttpServer> http_;  // absent without config_.http_listen
  std::unique_ptr<HttpServer> metrics_http_;
  std::unique_ptr<GrpcHost> grpc_;  // Last: its calls may touch everything above.
};

}  // namespace orchard::server
