#pragma once

#include <chrono>
#include <optional>

#include "server/address.h"
#include "server/log.h"
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
};

/// 127.0.0.1:8001 (gRPC), :8000 (HTTP), :8002 (metrics).
ProcessConfig RouterProcessConfig();

/// 127.0.0.1:8011 (gRPC), :8012 (metrics).
ProcessConfig ExpertProcessConfig();

/// Declares --listen, --http-listen (when `config.http_listen` has a value), --metrics-listen,
/// --log-level, --drain-delay, --drain-timeout with the values of `config` as defaults. --config,
/// --version and --help are Settings' own.
void DeclareProcess(Settings& settings, ProcessConfig& config);

}  // namespace orchard::server
