#include "clients/cpp/bench_command.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "clients/cpp/bench/report.h"
#include "clients/cpp/pictures.h"
#include "core/status.h"
#include "core/text.h"

namespace orchard::client {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

/// All pictures are held in memory while asking.
constexpr std::uint64_t kMostBytes = std::uint64_t{2} << 30;

/// Every picture that can be read, as a request; a line for each other one.
std::vector<v1::ClassifyRequest> ReadRequests(const BenchCommand& command, const Streams& streams,
                                              Client& client) {
  const auto pictures = ExpandPictures(command.arguments);
  SizeLimit limit([&client] { return MostImageBytes(client); });
  const PictureReader reader(pictures, streams.in, limit, command.server.timeout);
  std::vector<v1::ClassifyRequest> requests;
  std::uint64_t bytes = 0;
  for (const auto& name : pictures) {
    auto picture = name.ok() ? reader.Read(*name) : name;
    if (!picture.ok()) {
      WriteFault(streams.err, std::string(picture.status().message()));
      continue;
    }
    bytes += picture->size();
    if (bytes > kMostBytes) {
      WriteFault(streams.err, absl::StrCat(*name,
                                           ": and what follows is left out; the pictures are "
                                           "held in memory, at most ",
                                           core::HumanBytes(kMostBytes)));
      break;
    }
    v1::ClassifyRequest& request = requests.emplace_back();
    request.set_image(*std::move(picture));
    *request.mutable_options() = command.options;
    request.set_model(command.model);
  }
  return requests;
}

absl::StatusOr<LoadReport> Measure(const BenchCommand& command,
                                   std::vector<v1::ClassifyRequest> requests,
                                   const std::atomic<bool>& interrupted) {
  const size_t pictures = requests.size();
  Load load(command.server, command.plan, std::move(requests));
  ORCHARD_ASSIGN_OR_RETURN(LoadResult result, load.Run(interrupted));
  return LoadReport{.servers = command.server.servers,
                    .pictures = pictures,
                    .plan = command.plan,
                    .result = std::move(result)};
}

}  // namespace

void DeclareBench(CLI::App& app, BenchCommand& command) {
  LoadPlan& plan = command.plan;
  DeclareServer(app, command.server);
  DeclarePictures(app, command.arguments);
  DeclareModel(app, command.model);
  DeclareClassifyOptions(app, command.options);
  CLI::Option* const concurrency =
      app.add_option("--concurrency", plan.concurrency,
                     "closed loop: requests under way, each the next one's start")
          ->check(CLI::Range(1, 100'000))
          ->type_name("N")
          ->capture_default_str();
  CLI::Option* const rate =
      app.add_option_function<double>(
             "--rate", [&plan](double value) { plan.rate = value; },
             "open loop: requests a second, due at random times whether or not others are answered")
          ->check(CLI::Range(0.001, 1e6))
          ->type_name("R")
          ->excludes(concurrency);
  app.add_option("--seed", plan.seed, "of the random times")
      ->type_name("N")
      ->capture_default_str()
      ->needs(rate);
  CLI::Option* const duration =
      DeclareDuration(app, "--duration", plan.duration, "how long requests are planned",
                      milliseconds(1), hours(24));
  app.add_option_function<std::uint64_t>(
         "--requests", [&plan](std::uint64_t count) { plan.requests = count; },
         "how many requests are planned, instead of --duration")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->excludes(duration);
  DeclareDuration(app, "--warmup", plan.warm_up, "before that: the same load, counted nowhere",
                  milliseconds(0), hours(1));
  DeclareDuration(app, "--slo", command.slo, "an answer within it is a good one", milliseconds(1),
                  hours(1))
      ->default_str("the timeout");
  app.add_option("--max-outstanding", plan.max_outstanding,
                 "open loop: a request that is due while so many are under way is not sent")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--connections", plan.connections, "to each server")
      ->check(CLI::Range(1, 1'000))
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--json", command.json, "as one JSON object");
}

int RunBench(BenchCommand command, const Streams& streams, const std::atomic<bool>& interrupted) {
  command.plan.timeout = command.server.timeout;
  command.plan.slo = command.slo.count() > 0 ? command.slo : command.server.timeout;
  Client client(command.server);
  if (!client.status().ok()) {
    WriteFault(streams.err, Reason(client.status()));
    return kSomeFailed;
  }
  std::vector<v1::ClassifyRequest> requests = ReadRequests(command, streams, client);
  if (requests.empty()) return kSomeFailed;
  const absl::StatusOr<LoadReport> report = Measure(command, std::move(requests), interrupted);
  if (!report.ok()) {
    WriteFault(streams.err, Reason(report.status()));
    return kSomeFailed;
  }
  const absl::Status written =
      WriteAnswer(streams.out, command.json ? LoadJson(*report) + "\n" : LoadText(*report));
  const Tally& tally = report->result.tally;
  if (!written.ok()) WriteFault(streams.err, std::string(written.message()));
  if (tally.failed > 0) {
    WriteFault(streams.err, absl::StrCat("the first failure said: ", tally.an_error));
  }
  return written.ok() && tally.ok > 0 ? kAllDone : kSomeFailed;
}

}  // namespace orchard::client
