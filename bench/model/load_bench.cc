#include <benchmark/benchmark.h>

#include "bench/model/full_model.h"
#include "model/loaded_model.h"
#include "model/manifest.h"

namespace orchard::model {
namespace {

/// From files to warm: the larger part of a router's start.
void BM_LoadRouterModel(benchmark::State& state) {
  FullModel();
  for (auto _ : state) {
    benchmark::DoNotOptimize(LoadRouterModel(FullModel(), static_cast<size_t>(state.range(0))));
  }
}
BENCHMARK(BM_LoadRouterModel)
    ->ArgName("max_batch")
    ->Arg(1)
    ->Arg(4)
    ->Arg(8)
    ->Unit(benchmark::kMillisecond);

/// What an embedded router loads besides: nine experts.
void BM_LoadExperts(benchmark::State& state) {
  FullModel();
  for (auto _ : state) benchmark::DoNotOptimize(LoadExperts(FullModel(), {}));
}
BENCHMARK(BM_LoadExperts)->Unit(benchmark::kMillisecond);

/// Parsing and checking the manifest of nine domains.
void BM_ReadManifest(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ReadManifest(FullModel()));
}
BENCHMARK(BM_ReadManifest)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace orchard::model
