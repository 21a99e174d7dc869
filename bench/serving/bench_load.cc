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
  double experts = 0;
};

void Ask(orchard::v1::Classifier::Stub& stub, const orchard::v1::ClassifyRequest& request,
         Tally& tally) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  orchard::v1::ClassifyResponse response;
  const auto begin = Clock::now();
  const grpc::Status status = stub.Classify(&context, request, &response);
  const double took = Milliseconds(Clock::now() - begin);
  const std::lock_guard lock(tally.mutex);
  tally.latencies_ms.push_back(took);
  tally.without_decode_ms.push_back(took - response.timings().decode_ms());
  if (!status.ok() || response.degraded()) ++tally.failures;
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
  app.add_option("--in-flight", in_flight);
  app.add_option("--pictures", pictures);
  CLI11_PARSE(app, argc, argv);

  std::vector<orchard::v1::ClassifyRequest> requests;
  for (std::string& bytes : orchard::bench::ReadPictures(images)) {
    requests.emplace_back().set_image(std::move(bytes));
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
          Ask(*stub, requests[n % requests.size()], tally);
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
  return tally.failures == 0 ? 0 : 1;
}
