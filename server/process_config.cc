#include "server/process_config.h"

#include "server/cgroup.h"

namespace orchard::server {
namespace {

constexpr char kLoopback[] = "127.0.0.1";

ProcessConfig FittingConfig() {
  ProcessConfig config;
  config.max_buffer_bytes = AtMostAnEighth(OwnAllowance(), config.max_buffer_bytes);
  return config;
}

}  // namespace

ProcessConfig RouterProcessConfig() {
  ProcessConfig config = FittingConfig();
  config.listen = {.host = kLoopback, .port = 8001};
  config.http_listen = Address{.host = kLoopback, .port = 8000};
  config.metrics_listen = {.host = kLoopback, .port = 8002};
  return config;
}

ProcessConfig ExpertProcessConfig() {
  ProcessConfig config = FittingConfig();
  config.listen = {.host = kLoopback, .port = 8011};
  config.metrics_listen = {.host = kLoopback, .port = 8012};
  return config;
}

void DeclareProcess(Settings& settings, ProcessConfig& config) {
  using std::chrono::milliseconds;
  settings.Section("Ports");
  settings.Add("listen", config.listen,
               "Where the gRPC services listen; port 0 takes a free one, and the ready line on "
               "stdout says which. 0.0.0.0 is every IPv4 address, [::] every address.");
  if (config.http_listen) {
    settings.Add("http-listen", config.http_listen, "Where /healthz and /readyz are served.");
  }
  settings.Add("metrics-listen", config.metrics_listen,
               "Where /metrics is served, and /healthz and /readyz as well.");
  settings
      .Add("max-connections", config.max_connections,
           "Connections to the gRPC port; more wait until one ends. Fewer when the limit of open "
           "files is lower.")
      .Range(1, 1'000'000);
  settings
      .AddBytes("max-buffer-bytes", config.max_buffer_bytes,
                "Messages that are still coming in, of all connections together; above it calls "
                "are refused, then connections broken.")
      .Range(size_t{64} << 20, size_t{64} << 30)
      .DefaultText("512MiB, or an eighth of the memory where that is less");
  settings
      .Add("connection-age", config.connection_age,
           "An older connection is replaced, so that clients find new servers and new "
           "certificates; no call is lost. 0s: never.")
      .Range(milliseconds(0), milliseconds(86'400'000));
  settings
      .Add("connection-grace", config.connection_grace,
           "How long calls and streams of an old connection may go on before they are cut.")
      .Range(milliseconds(0), milliseconds(86'400'000));
  DeclareTls(settings, config.tls, config.http_listen.has_value());
  settings.Section("Logs and life");
  settings.AddChoice("log-level", config.log_level,
                     {{"debug", LogLevel::kDebug},
                      {"info", LogLevel::kInfo},
                      {"warning", LogLevel::kWarning},
                      {"error", LogLevel::kError},
                      {"off", LogLevel::kOff}},
                     "The least level of lines on stderr.");
  settings
      .Add("drain-delay", config.drain_delay,
           "After SIGTERM or SIGINT: how long to go on serving while health already says "
           "NOT_SERVING, so that clients go elsewhere. At least the interval of their probes.")
      .Range(milliseconds(0), milliseconds(600'000));
  settings
      .Add("drain-timeout", config.drain_timeout,
           "After the delay: how long calls in flight may take before they are cancelled.")
      .Range(milliseconds(0), milliseconds(3'600'000));
  DeclareProbe(settings, config.probe);
}

}  // namespace orchard::server
