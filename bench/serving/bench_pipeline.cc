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
#include <exception>
#include <functional>
#include <iostream>
#include <latch>
#include <memory>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>
#include <prometheus/registry.h>

#include "bench/serving/pictures.h"
#include "bench/serving/reference.h"
#include "core/clock.h"
#include "core/status.h"
#include "model/loaded_model.h"
#include "model/store.h"
#include "router/engine.h"
#include "router/profile.h"
#include "server/allocator.h"
#include "vision/preprocess.h"

namespace {

using orchard::bench::Picture;
using orchard::core::Clock;
using orchard::core::Milliseconds;

struct Config {
  std::string mode = "plain";
  std::string model;
  std::string images;
  size_t threads = 2;
  size_t pictures = 400;
};

void Print(const Config& config, Clock::duration took, const std::vector<double>& latencies_ms) {
  const double seconds = std::chrono::duration<double>(took).count();
  std::cout << absl::StrFormat("{\"pictures_per_second\": %.2f, %s}\n",
                               static_cast<double>(config.pictures) / seconds,
                               orchard::bench::Quantiles(latencies_ms));
}

/// Everything in one loop: what a careful programmer would write without a service.
class Plain {
 public:
  static absl::StatusOr<Plain> Load(const std::filesystem::path& version_dir) {
    Plain plain;
    ORCHARD_ASSIGN_OR_RETURN(plain.model_, orchard::model::LoadRouterModel(version_dir, 1));
    ORCHARD_ASSIGN_OR_RETURN(plain.experts_, orchard::model::LoadExperts(version_dir, {}));
    plain.profile_ = orchard::router::ProfileOf(plain.model_.manifest.encoder().preprocessing());
    return plain;
  }

  absl::StatusOr<std::vector<std::uint8_t>> Decode(const std::string& bytes) const {
    std::vector<std::uint8_t> pixels(profile_.crop * profile_.crop * 3);
    ORCHARD_RETURN_IF_ERROR(orchard::vision::DecodeForEncoder(bytes, {}, profile_, pixels));
    return pixels;
  }

  absl::Status Forward(const std::vector<std::uint8_t>& pixels) const {
    ORCHARD_ASSIGN_OR_RETURN(const auto features, model_.encoder->Encode(pixels, 1));
    ORCHARD_ASSIGN_OR_RETURN(const auto gates, model_.gates->Evaluate(features));
    const auto log_domain = gates.LogDomain(0);
    const auto best = std::ranges::max_element(log_domain) - log_domain.begin();
    const auto& expert = *experts_[static_cast<size_t>(best)];
    return expert.Score(features.Find(expert.feature_kind())->Floats(0, 1), 1).status();
  }

 private:
  orchard::model::RouterModel model_;
  std::vector<std::unique_ptr<orchard::model::ExpertHead>> experts_;
  orchard::vision::Profile profile_;
};

/// An exception (too little memory, say) as a status.
absl::Status Caught(const std::function<absl::Status()>& call) {
  try {
    return call();
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

/// The first failure of several threads. Thread-safe.
class FirstFailure {
 public:
  void Note(const Picture& picture, const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = orchard::core::Annotate(status, picture.file);
    failed_ = true;
  }
  bool failed() const { return failed_; }
  absl::Status status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  mutable std::mutex mutex_;
  absl::Status status_;
  std::atomic<bool> failed_ = false;
};

/// Calls `run` with every picture's bytes, on as many threads as configured; the first failure ends
/// them all.
absl::Status RunLoop(const Config& config,
                     const std::function<absl::Status(const std::string&)>& run) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<Picture> pictures,
                           orchard::bench::ReadPictures(config.images));
  std::vector<double> latencies(config.pictures);
  FirstFailure failure;
  // Threads answer for their own: an exception that left one would end the program on the spot.
  const auto attempt = [&](const Picture& picture) {
    const absl::Status status = Caught([&] { return run(picture.bytes); });
    if (!status.ok()) failure.Note(picture, status);
  };
  std::atomic<size_t> next{0};
  std::latch ready(static_cast<std::ptrdiff_t>(config.threads) + 1);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < config.threads; ++i) {
    threads.emplace_back([&] {
      orchard::model::PrepareInferenceThread();
      for (int warm = 0; warm < 3 && !failure.failed(); ++warm) attempt(pictures[0]);
      ready.arrive_and_wait();
      for (size_t n = next++; n < config.pictures && !failure.failed(); n = next++) {
        const auto begin = Clock::now();
        attempt(pictures[n % pictures.size()]);
        latencies[n] = Milliseconds(Clock::now() - begin);
      }
    });
  }
  ready.arrive_and_wait();
  const auto begin = Clock::now();
  threads.clear();  // Joins.
  if (failure.failed()) return failure.status();
  Print(config, Clock::now() - begin, latencies);
  return absl::OkStatus();
}

absl::Status RunPlain(const Config& config, const std::filesystem::path& version_dir) {
  ORCHARD_ASSIGN_OR_RETURN(const Plain plain, Plain::Load(version_dir));
  return RunLoop(config, [&plain](const std::string& bytes) -> absl::Status {
    ORCHARD_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> pixels, plain.Decode(bytes));
    return plain.Forward(pixels);
  });
}

absl::Status RunReference(const Config& config, const std::filesystem::path& version_dir) {
  orchard::model::PrepareInferenceThread();
  ORCHARD_ASSIGN_OR_RETURN(const orchard::bench::Reference reference,
                           orchard::bench::Reference::Load(version_dir));
  return RunLoop(config, [&reference](const std::string& bytes) { return reference.Run(bytes); });
}

absl::Status RunForward(const Config& config, const std::filesystem::path& version_dir) {
  orchard::model::PrepareInferenceThread();
  ORCHARD_ASSIGN_OR_RETURN(const Plain plain, Plain::Load(version_dir));
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<Picture> pictures,
                           orchard::bench::ReadPictures(config.images));
  std::vector<std::vector<std::uint8_t>> pixels;
  for (const Picture& picture : pictures) {
    auto decoded = plain.Decode(picture.bytes);
    if (!decoded.ok()) return orchard::core::Annotate(decoded.status(), picture.file);
    pixels.push_back(*std::move(decoded));
  }
  for (size_t i = 0; i < 10; ++i) ORCHARD_RETURN_IF_ERROR(plain.Forward(pixels[i % pixels.size()]));
  std::vector<double> latencies;
  const auto begin = Clock::now();
  for (size_t n = 0; n < config.pictures; ++n) {
    const auto start = Clock::now();
    ORCHARD_RETURN_IF_ERROR(plain.Forward(pixels[n % pixels.size()]));
    latencies.push_back(Milliseconds(Clock::now() - start));
  }
  Print(config, Clock::now() - begin, latencies);
  return absl::OkStatus();
}

absl::Status RunPipeline(const Config& config, const std::filesystem::path& version_dir) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<Picture> pictures,
                           orchard::bench::ReadPictures(config.images));
  prometheus::Registry registry;
  orchard::router::Engine::Config engine_config;
  engine_config.models = {{.version_dir = version_dir}};
  engine_config.pipeline.encode_workers = config.threads;
  engine_config.pipeline.decode_workers = config.threads;
  ORCHARD_ASSIGN_OR_RETURN(const auto engine,
                           orchard::router::Engine::Load(engine_config, registry));
  const size_t in_flight = 2 * config.threads;
  std::counting_semaphore<> places(static_cast<std::ptrdiff_t>(in_flight));
  std::vector<double> latencies(config.pictures);
  FirstFailure failure;
  const auto begin = Clock::now();
  for (size_t n = 0; n < config.pictures && !failure.failed(); ++n) {
    places.acquire();
    const auto start = Clock::now();
    const Picture& picture = pictures[n % pictures.size()];
    orchard::router::Job job;
    job.model = engine->models().first();
    job.image = picture.bytes;
    engine->pipeline().Start(std::move(job), [&, n, start](const auto& answer) {
      latencies[n] = Milliseconds(Clock::now() - start);
      if (!answer.ok()) failure.Note(picture, answer.status());
      places.release();
    });
  }
  for (size_t i = 0; i < in_flight; ++i) places.acquire();
  if (failure.failed()) return failure.status();
  Print(config, Clock::now() - begin, latencies);
  return absl::OkStatus();
}

absl::Status Run(const Config& config) {
  ORCHARD_RETURN_IF_ERROR(orchard::server::TuneAllocator());
  ORCHARD_ASSIGN_OR_RETURN(const auto version_dir, orchard::model::ResolveVersion(config.model));
  if (config.mode == "reference") return RunReference(config, version_dir);
  if (config.mode == "plain") return RunPlain(config, version_dir);
  if (config.mode == "forward") return RunForward(config, version_dir);
  return RunPipeline(config, version_dir);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What the machine can do without a wire");
  Config config;
  app.add_option("--mode", config.mode)
      ->check(CLI::IsMember({"reference", "plain", "forward", "pipeline"}));
  app.add_option("--model", config.model)->required();
  app.add_option("--images", config.images)->required();
  app.add_option("--threads", config.threads)->check(CLI::Range(1, 1024));
  app.add_option("--pictures", config.pictures)->check(CLI::Range(1, 1'000'000'000));
  if (const auto code = orchard::bench::ParseMain(app, argc, argv)) return *code;
  return orchard::bench::ExitCode("bench_pipeline", Caught([&] { return Run(config); }));
}
