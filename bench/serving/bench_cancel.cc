// A client that gives up: sends pictures at a steady rate, pinned to one domain, and cancels each a
// moment later. Prints one line of JSON. Usage: bench_cancel --server HOST:PORT --images DIR
// --domain NAME --rate PER_SECOND --seconds S --after-ms MS

#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>
#include <grpcpp/grpcpp.h>

#include "bench/serving/pictures.h"
#include "core/clock.h"
#include "core/timer_queue.h"
#include "orchard/v1/classifier.grpc.pb.h"

namespace {

using orchard::core::Clock;

struct Tally {
  std::atomic<size_t> sent = 0, cancelled = 0, answered = 0, refused = 0;
};

/// One picture on its way; the callback and the timer that cancels it share it.
struct Call {
  grpc::ClientContext context;
  orchard::v1::ClassifyResponse response;
};

void Count(const grpc::Status& status, Tally& tally) {
  if (status.ok()) {
    ++tally.answered;
  } else if (status.error_code() == grpc::StatusCode::CANCELLED) {
    ++tally.cancelled;
  } else {
    ++tally.refused;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Cancels what it asks");
  std::string server = "127.0.0.1:8001";
  std::string images;
  std::string domain;
  double rate = 200;
  double seconds = 60;
  int after_ms = 50;
  app.add_option("--server", server);
  app.add_option("--images", images)->required();
  app.add_option("--domain", domain)->required();
  app.add_option("--rate", rate)->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds)->check(CLI::PositiveNumber);
  app.add_option("--after-ms", after_ms)->check(CLI::NonNegativeNumber);
  if (const auto code = orchard::bench::ParseMain(app, argc, argv)) return *code;

  auto pictures = orchard::bench::ReadPictures(images);
  if (!pictures.ok()) return orchard::bench::ExitCode("bench_cancel", pictures.status());
  std::vector<orchard::v1::ClassifyRequest> requests;
  for (orchard::bench::Picture& picture : *pictures) {
    orchard::v1::ClassifyRequest& request = requests.emplace_back();
    request.set_image(std::move(picture.bytes));
    request.mutable_options()->set_domain(domain);
  }
  const auto stub = orchard::v1::Classifier::NewStub(
      grpc::CreateChannel(server, grpc::InsecureChannelCredentials()));
  Tally tally;
  {
    orchard::core::TimerQueue timers;
    const auto begin = Clock::now();
    const auto total = static_cast<size_t>(rate * seconds);
    for (size_t i = 0; i < total; ++i) {
      const auto due = begin + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(static_cast<double>(i) / rate));
      std::this_thread::sleep_until(due);
      auto call = std::make_shared<Call>();
      call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(10));
      ++tally.sent;
      stub->async()->Classify(&call->context, &requests[i % requests.size()], &call->response,
                              [call, &tally](const grpc::Status& s) { Count(s, tally); });
      timers.At(due + std::chrono::milliseconds(after_ms), [call] { call->context.TryCancel(); });
    }
    while (tally.cancelled + tally.answered + tally.refused < tally.sent) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  std::cout << absl::StrFormat(
      "{\"sent\": %d, \"cancelled\": %d, \"answered\": %d, \"refused\": %d}\n", tally.sent.load(),
      tally.cancelled.load(), tally.answered.load(), tally.refused.load());
  return 0;
}
