#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "server/address.h"
#include "server/credentials.h"
#include "server/log.h"
#include "server/probe.h"
#include "server/settings.h"

namespace orchard::server {

/// The settings that every service has. Defaults bind to loopback.
struct ProcessConfig {
  Address listen;                      ///< gRPC
  std::optional<Address> http_listen;  ///< /healthz, /readyz; absent: the service has no such port
  Address metrics_listen;              ///< /metrics, and /healthz and /readyz as well
  LogLevel log_level = LogLevel::kInfo;
  std::chrono::milliseconds drain_delay{1'000};
  std::chrono::milliseconds drain_timeout{30'000};
  TlsSettings tls;
  ProbeSettings probe;
  // Of the gRPC port: GrpcLimits (grpc_host.h) has the words.
  size_t max_connections = 4096;
  size_t max_buffer_bytes = size_t{512} << 20;
  std::chrono::milliseconds connection_age{300'000};
  std::chrono::milliseconds connection_grace{30'000};
};

/// 127.0.0.1:8001 (gRPC), :8000 (HTTP), :8002 (metrics). The buffer fits the memory that the
/// process may use (cgroup.h).
ProcessConfig RouterProcessConfig();

/// 127.0.0.1:8011 (gRPC), :8012 (metrics). As above.
ProcessConfig ExpertProcessConfig();

/// Declares --listen, --http-listen (when `config.http_listen` has a value), --metrics-listen,
/// --max-connections, --max-buffer-bytes, --connection-age, --connection-grace, --tls-… (see
/// credentials.h), --log-level, --drain-delay, --drain-timeout, --probe… (see probe.h) with the
/// values of `config` as defaults. --config, --version and --help are Settings' own.
void DeclareProcess(Settings& settings, ProcessConfig& config);

}  // namespace orchard::server
