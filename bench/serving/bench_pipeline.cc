// What the machine can do without a wire, as one line of JSON. Usage:
//   bench_pipeline --mode reference|plain|forward|pipeline --model DIR --images DIR [--threads N]
//   [--pictures M]
// reference: each thread runs what bench/serving/reference.h describes, one picture after another
// plain:    each thread decodes, encodes, runs gates and the most probable expert, one by one
// forward:  the same without decoding, one thread, the median time of a picture
// pipeline: the router's pipeline in this process, as many pictures in flight as its workers need

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <iostream>
#include <latch>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>
#include <prometheus/registry.h>

#include "bench/serving/pictures.h"
#include "bench/serving/reference.h"
#include "core/clock.h"
#include "model/loaded_model.h"
#include "model/store.h"
#include "router/engine.h"
#include "router/profile.h"
#include "server/allocator.h"
#include "vision/preprocess.h"

namespace {

using orchard::core::Clock;
using orchard::core::Milliseconds;

struct Config {
  std::string mode = "plain";
  std::string model;
  std::string images;
  size_t threads = 2;
  size_t pictures = 400;
};

[[noreturn]] void Fail(const absl::Status& status) {
  std::cerr << status << '\n';
  std::exit(1);
}

void Print(const Config& config, Clock::duration took, const std::vector<double>& latencies_ms) {
  const double seconds = std::chrono::duration<double>(took).count();
  std::cout << absl::StrFormat("{\"pictures_per_second\": %.2f, %s}\n",
                               static_cast<double>(config.pictures) / seconds,
                               orchard::bench::Quantiles(latencies_ms));
}

/// Everything in one loop: what a careful programmer would write without a service.
class Plain {
 public:
  explicit Plain(const std::filesystem::path& version_dir) {
    auto model = orchard::model::LoadRouterModel(version_dir, 1);
    if (!model.ok()) Fail(model.status());
    model_ = std::make_unique<orchard::model::RouterModel>(*std::move(model));
    auto experts = orchard::model::LoadExperts(version_dir, {});
    if (!experts.ok()) Fail(experts.status());
    experts_ = *std::move(experts);
    profile_ = orchard::router::ProfileOf(model_->manifest.encoder().preprocessing());
  }

  std::vector<std::uint8_t> Decode(const std::string& bytes) const {
    std::vector<std::uint8_t> pixels(profile_.crop * profile_.crop * 3);
    const absl::Status status = orchard::vision::DecodeForEncoder(bytes, {}, profile_, pixels);
    if (!status.ok()) Fail(status);
    return pixels;
  }

  void Forward(const std::vector<std::uint8_t>& pixels) const {
    const auto features = model_->encoder->Encode(pixels, 1);
    if (!features.ok()) Fail(features.status());
    const auto gates = model_->gates->Evaluate(*features);
    if (!gates.ok()) Fail(gates.status());
    const auto log_domain = gates->LogDomain(0);
    const auto best = std::ranges::max_element(log_domain) - log_domain.begin();
    const auto& expert = *experts_[static_cast<size_t>(best)];
    const auto scores = expert.Score(features->Row(expert.feature_kind(), 0), 1);
    if (!scores.ok()) Fail(scores.status());
  }

 private:
  std::unique_ptr<orchard::model::RouterModel> model_;
  std::vector<std::unique_ptr<orchard::model::ExpertHead>> experts_;
  orchard::vision::Profile profile_;
};

/// Calls `run` with every picture's bytes, on as many threads as configured.
void RunLoop(const Config& config, const std::function<void(const std::string&)>& run) {
  const std::vector<std::string> pictures = orchard::bench::ReadPictures(config.images);
  std::vector<double> latencies(config.pictures);
  std::atomic<size_t> next{0};
  std::latch ready(static_cast<std::ptrdiff_t>(config.threads) + 1);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < config.threads; ++i) {
    threads.emplace_back([&] {
      orchard::model::PrepareInferenceThread();
      for (int warm = 0; warm < 3; ++warm) run(pictures[0]);
      ready.arrive_and_wait();
      for (size_t n = next++; n < config.pictures; n = next++) {
        const auto begin = Clock::now();
        run(pictures[n % pictures.size()]);
        latencies[n] = Milliseconds(Clock::now() - begin);
      }
    });
  }
  ready.arrive_and_wait();
  const auto begin = Clock::now();
  threads.clear();  // Joins.
  Print(config, Clock::now() - begin, latencies);
}

void RunPlain(const Config& config, const std::filesystem::path& version_dir) {
  const Plain plain(version_dir);
  RunLoop(config, [&plain](const std::string& bytes) { plain.Forward(plain.Decode(bytes)); });
}

void RunReference(const Config& config, const std::filesystem::path& version_dir) {
  orchard::model::PrepareInferenceThread();
  const auto reference = orchard::bench::Reference::Load(version_dir);
  if (!reference.ok()) Fail(reference.status());
  RunLoop(config, [&reference](const std::string& bytes) {
    if (const absl::Status status = reference->Run(bytes); !status.ok()) Fail(status);
  });
}

void RunForward(const Config& config, const std::filesystem::path& version_dir) {
  orchard::model::PrepareInferenceThread();
  const Plain plain(version_dir);
  std::vector<std::vector<std::uint8_t>> pixels;
  for (const std::string& bytes : orchard::bench::ReadPictures(config.images)) {
    pixels.push_back(plain.Decode(bytes));
  }
  for (size_t i = 0; i < 10; ++i) plain.Forward(pixels[i % pixels.size()]);
  std::vector<double> latencies;
  const auto begin = Clock::now();
  for (size_t n = 0; n < config.pictures; ++n) {
    const auto start = Clock::now();
    plain.Forward(pixels[n % pixels.size()]);
    latencies.push_back(Milliseconds(Clock::now() - start));
  }
  Print(config, Clock::now() - begin, latencies);
}

void RunPipeline(const Config& config, const std::filesystem::path& version_dir) {
  prometheus::Registry registry;
  orchard::router::Engine::Config engine_config;
  engine_config.version_dir = version_dir;
  engine_config.pipeline.encode_workers = config.threads;
  engine_config.pipeline.decode_workers = config.threads;
  auto engine = orchard::router::Engine::Load(engine_config, registry);
  if (!engine.ok()) Fail(engine.status());
  const std::vector<std::string> pictures = orchard::bench::ReadPictures(config.images);
  const size_t in_flight = 2 * config.threads;
  std::counting_semaphore<> places(static_cast<std::ptrdiff_t>(in_flight));
  std::vector<double> latencies(config.pictures);
  std::atomic<size_t> failures{0};
  const auto begin = Clock::now();
  for (size_t n = 0; n < config.pictures; ++n) {
    places.acquire();
    const auto start = Clock::now();
    orchard::router::Job job;
    job.image = pictures[n % pictures.size()];
    (*engine)->pipeline().Start(std::move(job), [&, n, start](const auto& answer) {
      latencies[n] = Milliseconds(Clock::now() - start);
      if (!answer.ok()) ++failures;
      places.release();
    });
  }
  for (size_t i = 0; i < in_flight; ++i) places.acquire();
  Print(config, Clock::now() - begin, latencies);
  if (failures > 0) Fail(absl::InternalError("some pictures failed"));
}

}  // namespace

int main(int argc, char** argv) {
  if (const absl::Status tuned = orchard::server::TuneAllocator(); !tuned.ok()) Fail(tuned);
  CLI::App app("What the machine can do without a wire");
  Config config;
  app.add_option("--mode", config.mode)
      ->check(CLI::IsMember({"reference", "plain", "forward", "pipeline"}));
  app.add_option("--model", config.model)->required();
  app.add_option("--images", config.images)->required();
  app.add_option("--threads", config.threads);
  app.add_option("--pictures", config.pictures);
  CLI11_PARSE(app, argc, argv);
  const auto version_dir = orchard::model::ResolveVersion(config.model);
  if (!version_dir.ok()) Fail(version_dir.status());
  if (config.mode == "reference") RunReference(config, *version_dir);
  if (config.mode == "plain") RunPlain(config, *version_dir);
  if (config.mode == "forward") RunForward(config, *version_dir);
  if (config.mode == "pipeline") RunPipeline(config, *version_dir);
  return 0;
}
