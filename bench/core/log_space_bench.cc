#include <vector>

#include <benchmark/benchmark.h>

#include "core/log_space.h"

namespace orchard::core {
namespace {

void BM_LogSumExp(benchmark::State& state) {
  const std::vector<double> x(static_cast<size_t>(state.range(0)), -1.0);
  for (auto _ : state) benchmark::DoNotOptimize(LogSumExp(x));
  state.SetItemsProcessed(state.iterations() * state.range(0));  // → classes per second
}
BENCHMARK(BM_LogSumExp)->ArgName("classes")->Arg(9)->Arg(85)->Arg(1000);

void BM_LogSoftmax(benchmark::State& state) {
  const std::vector<float> logits(static_cast<size_t>(state.range(0)), 0.5F);
  for (auto _ : state) benchmark::DoNotOptimize(LogSoftmax(logits, 1.3));
  state.SetItemsProcessed(state.iterations() * state.range(0));  // → classes per second
}
BENCHMARK(BM_LogSoftmax)->ArgName("classes")->Arg(9)->Arg(85)->Arg(1000);

}  // namespace
}  // namespace orchard::core
