#include "server/process_config.h"

namespace orchard::server {
namespace {

constexpr char kLoopback[] = "127.0.0.1";

}  // namespace

ProcessConfig RouterProcessConfig() {
  ProcessConfig config;
  config.listen = {.host = kLoopback, .port = 8001};
  config.http_listen = Address{.host = kLoopback, .port = 8000};
  config.metrics_listen = {.host = kLoopback, .port = 8002};
  return config;
}

ProcessConfig ExpertProcessConfig() {
  ProcessConfig config;
  config.listen = {.host = kLoopback, .port = 8011};
  config.metrics_listen = {.host = kLoopback, .port = 8012};
  return config;
}

void DeclareProcess(Settings& settings, ProcessConfig& config) {
  using std::chrono::milliseconds;
  settings.Section("Ports");
  settings.Add("listen", config.listen,
               "Where the gRPC services listen; port 0 takes a free one, and the ready line on "
               "stdout says which.");
  if (config.http_listen) {
    settings.Add("http-listen", config.http_listen, "Where /healthz and /readyz are served.");
  }
  settings.Add("metrics-listen", config.metrics_listen,
               "Where /metrics is served, and /healthz and /readyz as well.");
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
}

}  // namespace orchard::server
