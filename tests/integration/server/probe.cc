// A service process without a model: what process_test.cc signals from outside.
#include <cstdio>
#include <optional>
#include <signal.h>
#include <thread>

#include "core/inherited.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "server/allocator.h"
#include "server/service_process.h"
#include "server/settings.h"

namespace {

/// A thread that is older than main and blocks no signal, as OpenBLAS's pthread variant has.
const struct EarlyThread {
  EarlyThread() {
    std::thread([] {
      while (true) pause();
    }).detach();
  }
} early_thread;

int Run(int argc, char** argv) {
  using namespace orchard::server;
  orchard::core::PutInheritedRight();
  const absl::Status tuned = TuneAllocator();
  Signals signals;
  ProcessConfig config = RouterProcessConfig();
  Settings settings("server_probe", "0.0.0", "A service process without a model.");
  DeclareProcess(settings, config);
  bool load_for_ever = false;
  settings.Add("load-for-ever", load_for_ever, "Never get ready.");
  bool load_until_signal = false;
  settings.Add("load-until-signal", load_until_signal, "Load until a signal comes.");
  int log_lines = 0;
  settings.Add("log-lines", log_lines, "Log so many lines first.").Range(0, 1'000'000);
  if (const std::optional<int> code = settings.ParseMain(argc, argv)) return *code;
  StartServiceLog(config.log_level, tuned);
  for (int i = 0; i < log_lines; ++i) Log(LogLevel::kInfo, "line", {{"number", i}});

  orchard::v1::Classifier::Service service;  // Every method says UNIMPLEMENTED.
  ServiceProcess process("server_probe", "0.0.0", config, signals);
  absl::Status status = process.StartHttp();
  if (status.ok() && load_for_ever) {
    Log(LogLevel::kInfo, "loading", {{"http", process.bound().http->port}});
    signals.Wait();
    Log(LogLevel::kInfo, "signalled_while_loading");
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  if (status.ok() && load_until_signal) {
    Log(LogLevel::kInfo, "loading");
    signals.Wait();
  }
  if (status.ok()) {
    status = process.StartGrpc(
        {{.name = orchard::v1::Classifier::service_full_name(), .service = &service}});
  }
  if (!status.ok()) {
    Log(LogLevel::kError, "start", {{"message", std::string(status.message())}});
    return 1;
  }
  return process.RunUntilSignal({.in_flight = [] { return std::int64_t{0}; },
                                 .flush = [] { Log(LogLevel::kInfo, "flushed"); }});
}

}  // namespace

int main(int argc, char** argv) { return Run(argc, argv); }
