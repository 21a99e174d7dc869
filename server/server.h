#pragma once

/// \file
/// What both services (router and expert) share as processes. Knows nothing of images or models.
/// Read in this order:
///   service_process.h  the whole life of a process in one class; a main needs little else
///   settings.h         one definition per setting: flag, ORCHARD_ variable, file key, range, help
///   setting_codec.h    how a type is written in a setting
///   process_config.h   the settings that both mains have
///   probe.h            a program that asks another for its health, and exits
///   address.h          HOST:PORT
///   allocator.h        malloc, first thing in main
///   kernels.h          the line about OpenBLAS's kernels, when they are slow
///   cgroup.h           what the process may use of the machine, and how many workers follow
///   lifecycle.h        signals, the drain
///   credentials.h      TLS of listeners and channels, from files that may change
///   grpc_host.h        the gRPC server: connections, limits, health, reflection, heartbeat
///   http.h             /healthz, /readyz, /metrics
///   metrics.h          what /metrics says about every process; buckets
///   log.h              one line per event, key=value
///   limited_log.h      lines that repeat, by kind: the first at once, then a count
///   ready_line.h       the line that says where we listen
/// Conventions: errors are absl::Status and name the address or the setting; times are std::chrono;
/// nothing but settings.cc reads the environment.
///
/// A main, whole:
///
///   int main(int argc, char** argv) {
///     orchard::core::PutInheritedRight();
///     const absl::Status tuned = orchard::server::TuneAllocator();
///     Config config;
///     Settings settings("orchard-router", kVersion, "Routes a photograph to its experts.");
///     DeclareProcess(settings, config.process);
///     settings.Add("in-flight", config.in_flight, "requests in progress").Range(1, 65536);
///     if (const auto code = ProbeMain(…, settings, …, argc, argv)) return *code;
///     orchard::server::Signals signals;  // before anything starts a thread
///     if (const std::optional<int> code = settings.ParseMain(argc, argv)) return *code;
///     StartServiceLog(config.process.log_level, tuned);
///     ServiceProcess process("orchard-router", kVersion, config.process, signals);
///     if (!process.StartHttp().ok()) …            // /readyz says 503 from here
///     … load the model, register metrics in process.metrics().registry(), build services …
///     if (!process.StartGrpc({{v1::Classifier::service_full_name(), &service}}, limits).ok()) …
///     return process.RunUntilSignal({.in_flight = …, .flush = …});
///   }
