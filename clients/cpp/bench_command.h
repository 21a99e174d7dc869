#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "clients/cpp/bench/load.h"
#include "clients/cpp/command.h"

namespace orchard::client {

/// `orchard bench FILE… | DIR | -`, as parsed.
struct BenchCommand {
  Client::Options server;
  std::vector<std::string> arguments;  ///< files, folders, "-"
  std::string model;                   ///< empty: the server's first
  v1::ClassifyOptions options;
  LoadPlan plan;                     ///< its timeout is the server's, its SLO `slo`
  std::chrono::milliseconds slo{0};  ///< 0: the timeout
  bool json = false;
};

/// Adds the command's flags to `app`; they are checked while the command line is parsed.
void DeclareBench(CLI::App& app, BenchCommand& command);

/// Reads the pictures, asks as planned, prints what became of it. Returns kAllDone when at least
/// one request was answered and the result could be written, whatever else failed: failures are
/// what it measures. Ends early when `interrupted` becomes true, and still prints what it knows.
int RunBench(BenchCommand command, const Streams& streams, const std::atomic<bool>& interrupted);

}  // namespace orchard::client
