// A closed-loop gRPC client: keeps a number of pictures in flight until all are answered, then
// prints one line of JSON. Usage: bench_load --server HOST:PORT --images DIR --in-flight N
// --pictures M

#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>
#include <grpcpp/grpcpp.h>

#include "bench/serving/pictures.h"
#include "core/clock.h"
#include "orchard/v1/classifier.grpc.pb.h"

namespace {

using orchard::core::Clock;
using orchard::core::Milliseconds;

struct Tally {
  std::mutex mutex;
  std::vector<double> latencies_ms;
  std::vector<double> without_decode_ms;  ///< the caller's wait less the server's decoding
  size_t failures = 0;
  std::string first_failure;
  double experts = 0;
};

/// A request and the file that it is about.
struct Question {
  std::string file;
  orchard::v1::ClassifyRequest request;
};

void Ask(orchard::v1::Classifier::Stub& stub, const Question& question, Tally& tally) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  orchard::v1::ClassifyResponse response;
  const auto begin = Clock::now();
  const grpc::Status status = stub.Classify(&context, question.request, &response);
  const double took = Milliseconds(Clock::now() - begin);
  const std::lock_guard lock(tally.mutex);
  tally.latencies_ms.push_back(took);
  tally.without_decode_ms.push_back(took - response.timings().decode_ms());
  if (!status.ok() || response.degraded()) {
    if (tally.failures++ == 0) {
      tally.first_failure =
          question.file + ": " + (status.ok() ? "degraded answer" : status.error_message());
    }
  }
  for (const auto& domain : response.routing().domains()) tally.experts += domain.activated();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Closed-loop load on a Classifier");
  std::string server = "127.0.0.1:8001";
  std::string images;
  size_t in_flight = 4;
  size_t pictures = 400;
  app.add_option("--server", server);
  app.add_option("--images", images)->required();
  app.add_option("--in-flight", in_flight)->check(CLI::Range(1, 65536));
  app.add_option("--pictures", pictures)->check(CLI::Range(1, 1'000'000'000));
  if (const auto code = orchard::bench::ParseMain(app, argc, argv)) return *code;

  auto read = orchard::bench::ReadPictures(images);
  if (!read.ok()) return orchard::bench::ExitCode("bench_load", read.status());
  std::vector<Question> questions;
  for (orchard::bench::Picture& picture : *read) {
    Question& question = questions.emplace_back();
    question.file = std::move(picture.file);
    question.request.set_image(std::move(picture.bytes));
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto channel =
      grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
  const auto stub = orchard::v1::Classifier::NewStub(channel);
  Tally tally;
  std::atomic<size_t> next{0};
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> callers;
    for (size_t i = 0; i < in_flight; ++i) {
      callers.emplace_back([&] {
        for (size_t n = next++; n < pictures; n = next++) {
          Ask(*stub, questions[n % questions.size()], tally);
        }
      });
    }
  }
  const double seconds = Milliseconds(Clock::now() - begin) / 1e3;
  const auto count = static_cast<double>(pictures);
  std::cout << absl::StrFormat(
      "{\"pictures_per_second\": %.2f, %s, \"without_decode_p50_ms\": %.3f, \"experts_asked\": "
      "%.3f, "
      "\"failures\": %d}\n",
      count / seconds, orchard::bench::Quantiles(tally.latencies_ms),
      orchard::bench::Quantile(tally.without_decode_ms, 0.5), tally.experts / count,
      tally.failures);
  if (tally.failures == 0) return 0;
  return orchard::bench::ExitCode(
      "bench_load",
      absl::InternalError(absl::StrFormat("%d of %d pictures failed; the first: %s", tally.failures,
                                          pictures, tally.first_failure)));
}
