// What a call over the wire costs beside the head: one row of the map is 61 KiB.

#include <future>
#include <memory>
#include <stdexcept>
#include <vector>

#include <benchmark/benchmark.h>
#include <prometheus/registry.h>

#include "core/timer_queue.h"
#include "experts/expert_service.h"
#include "experts/in_process_expert.h"
#include "experts/remote_expert.h"
#include "experts/resolver.h"
#include "experts/wire.h"
#include "server/grpc_host.h"

namespace orchard::experts {
namespace {

ExpertSpec MapSpec() {
  ExpertSpec spec;
  spec.domain = "fruit";
  spec.classes.assign(30, "class");
  spec.encoder_fingerprint = "0123456789abcdef";
  spec.kind = core::FeatureKind::kMap;
  spec.row_shape = {320, 7, 7};
  return spec;
}

SubBatch MapRows(size_t rows) {
  const auto spec = std::make_shared<const core::ViewSpec>(MapSpec().View());
  SubBatch batch{
      std::make_shared<const core::View>(spec, std::vector<float>(rows * spec->RowWidth(), 0.5F)),
      {}};
  for (size_t row = 0; row < rows; ++row) batch.rows.push_back(row);
  return batch;
}

/// No head at all: what is left is the way to it and back.
absl::StatusOr<model::ScoreBatch> NoHead(std::span<const float>, size_t rows) {
  model::ScoreBatch scores;
  scores.rows = rows;
  scores.classes = 30;
  scores.log_probabilities.assign(rows * scores.classes, -3.0F);
  scores.energy.assign(rows, 0.0F);
  return scores;
}

void BM_WriteRequest(benchmark::State& state) {
  const SubBatch batch = MapRows(static_cast<size_t>(state.range(0)));
  const auto dtype = static_cast<v1::DType>(state.range(1));
  const ExpertSpec spec = MapSpec();
  for (auto _ : state) {
    v1::ScoreRequest request;
    benchmark::DoNotOptimize(WriteRequest(batch, spec, dtype, request));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));  // → rows per second
}
BENCHMARK(BM_WriteRequest)
    ->ArgNames({"rows", "dtype"})
    ->ArgsProduct({{1, 8}, {v1::FP32, v1::FP16, v1::BF16}});

void BM_ReadFeatures(benchmark::State& state) {
  const auto rows = static_cast<size_t>(state.range(0));
  v1::ScoreRequest request;
  if (!WriteRequest(MapRows(rows), MapSpec(), static_cast<v1::DType>(state.range(1)), request)
           .ok()) {
    throw std::runtime_error("WriteRequest");
  }
  std::vector<float> features(rows * MapSpec().RowWidth());
  for (auto _ : state) benchmark::DoNotOptimize(ReadFeatures(request.features(), features));
  state.SetItemsProcessed(state.iterations() * state.range(0));  // → rows per second
}
BENCHMARK(BM_ReadFeatures)
    ->ArgNames({"rows", "dtype"})
    ->ArgsProduct({{1, 8}, {v1::FP32, v1::FP16, v1::BF16}});

/// Asks `concurrency` times at once and waits for all.
void Run(benchmark::State& state, Expert& expert) {
  const SubBatch batch = MapRows(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    std::vector<std::future<bool>> answers;
    for (int64_t call = 0; call < state.range(1); ++call) {
      auto answer = std::make_shared<std::promise<bool>>();
      answers.push_back(answer->get_future());
      expert.Score(batch, {.deadline = core::Clock::now() + std::chrono::seconds(10)},
                   [answer](Scored scored) { answer->set_value(scored.scores.ok()); });
    }
    for (auto& answer : answers) {
      if (!answer.get()) state.SkipWithError("a call failed");
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));  // → calls per second
}

void BM_InProcess(benchmark::State& state) {
  InProcessExpert expert(MapSpec(), NoHead);
  Run(state, expert);
}
BENCHMARK(BM_InProcess)->ArgNames({"rows", "calls"})->ArgsProduct({{1, 8}, {1}});

void BM_Remote(benchmark::State& state) {
  prometheus::Registry registry;
  ExpertService service({{MapSpec(), NoHead}}, "default", "1", registry);
  auto host =
      server::GrpcHost::Start({"127.0.0.1", 0}, {{v1::Expert::service_full_name(), &service}},
                              {.max_message_bytes = service.MaxRequestBytes()});
  if (!host.ok()) throw std::runtime_error(host.status().ToString());
  (*host)->SetServing(true);
  auto expert = RemoteExpert::Create(MapSpec(), {(*host)->address().ToString()});
  if (!expert.ok() || !(*expert)->Warm(core::Clock::now() + std::chrono::seconds(10)).ok()) {
    throw std::runtime_error("no connection");
  }
  Run(state, **expert);
}
BENCHMARK(BM_Remote)->ArgNames({"rows", "calls"})->ArgsProduct({{1, 8}, {1, 8}})->UseRealTime();

/// Who of 200 domains can be asked, as planning wants to know. Nobody listens: endpoints come and
/// go with their attempts to connect meanwhile. At most 5 us.
void BM_Unavailable(benchmark::State& state) {
  core::TimerQueue timers;
  Resolver resolver({});
  std::vector<std::unique_ptr<RemoteExpert>> experts;
  for (int domain = 0; domain < 200; ++domain) {
    RemoteExpertOptions options;
    options.timers = &timers;
    options.resolver = &resolver;
    std::vector<Target> targets;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      targets.push_back(
          {.dns = false, .address = {"127.0.0.1", static_cast<std::uint16_t>(i + 1)}});
    }
    experts.push_back(std::make_unique<RemoteExpert>(MapSpec(), targets, std::move(options)));
  }
  for (auto _ : state) {
    for (const auto& expert : experts) benchmark::DoNotOptimize(expert->Unavailable());
  }
}
BENCHMARK(BM_Unavailable)->ArgName("endpoints")->Arg(0)->Arg(10);

}  // namespace
}  // namespace orchard::experts
