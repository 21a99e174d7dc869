#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "server/grpc_host.h"
#include "server/http.h"
#include "server/lifecycle.h"
#include "server/metrics.h"
#include "server/process_config.h"
#include "server/ready_line.h"

namespace orchard::server {

/// The life of a service: ports, readiness, metrics, ready line, drain. See server.h for a main.
///
/// Ready means: StartGrpc() came back and no signal has come. Both /readyz (200 or 503) and the
/// gRPC health service say so. /healthz is 200 for as long as the HTTP threads turn.
class ServiceProcess {
 public:
  ServiceProcess(std::string program, std::string version, const ProcessConfig& config);
  ~ServiceProcess();

  /// Register metrics here, before StartGrpc().
  MetricsPage& metrics() { return metrics_; }

  /// Adds a page to the HTTP port (or to the metrics port when there is none); before StartHttp().
  void AddPage(const std::string& path, HttpServer::Handler handler);

  /// Binds the HTTP and metrics ports; not ready yet. Early, before a model is loaded, so that a
  /// port in use is told before seconds were spent.
  /// Errors: UNAVAILABLE naming the address.
  absl::Status StartHttp();

  /// Binds the gRPC port with the services, which must be warm and outlive this object; becomes
  /// ready and prints the ready line. Errors: UNAVAILABLE naming the address.
  absl::Status StartGrpc(const std::vector<HostedService>& services, const GrpcLimits& limits = {},
                         const std::vector<std::string>& more_health_names = {});

  bool ready() const { return ready_; }
  const BoundAddresses& bound() const { return bound_; }
  GrpcHost* grpc() { return grpc_.get(); }

  struct AtTheEnd {
    std::function<std::int64_t()> in_flight = nullptr;  ///< calls in progress, for the log
    std::function<void()> flush = nullptr;  ///< after the last call, while /metrics still answers
  };

  /// Waits for SIGTERM or SIGINT, drains (lifecycle.h), stops the ports, returns the exit code.
  int RunUntilSignal(Signals& signals, AtTheEnd at_the_end);

 private:
  const std::string program_;
  const ProcessConfig config_;
  MetricsPage metrics_;
  std::atomic<bool> ready_ = false;
  BoundAddresses bound_;
  std::unique_ptr<HttpServer> http_;  // absent without config_.http_listen
  HttpServer metrics_http_;
  std::unique_ptr<GrpcHost> grpc_;  // Last: its calls may touch everything above.
};

}  // namespace orchard::server
