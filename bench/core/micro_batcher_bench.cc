#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/micro_batcher.h"

namespace orchard::core {
namespace {

/// From Submit to an idle (sleeping) worker and back: what a stage adds at low load.
void BM_HandOver(benchmark::State& state) {
  std::atomic<std::int64_t> done = 0;
  MicroBatcher<int> batcher({.max_batch = 32, .workers = 1}, [&](std::vector<int> batch) {
    done.fetch_add(static_cast<std::int64_t>(batch.size()));
    done.notify_one();
  });
  std::int64_t sent = 0;
  for (auto _ : state) {
    if (!batcher.Submit(1).ok()) state.SkipWithError("the queue is full");
    ++sent;
    for (std::int64_t now = done; now < sent; now = done) done.wait(now);
  }
  state.SetItemsProcessed(state.iterations());  // → round trips per second
}
BENCHMARK(BM_HandOver)->UseRealTime()->Unit(benchmark::kMicrosecond);

/// As much as two workers take: what a stage costs when there is always work.
void BM_Throughput(benchmark::State& state) {
  std::atomic<std::int64_t> batches = 0;
  std::int64_t sent = 0;
  {
    MicroBatcher<int> batcher({.max_batch = static_cast<size_t>(state.range(0)), .workers = 2},
                              [&](std::vector<int>) { batches.fetch_add(1); });
    for (auto _ : state) {
      while (!batcher.Submit(1).ok()) std::this_thread::yield();
      ++sent;
    }
  }
  state.SetItemsProcessed(sent);  // → items per second
  state.counters["items_a_batch"] =
      static_cast<double>(sent) / static_cast<double>(std::max<std::int64_t>(1, batches));
}
BENCHMARK(BM_Throughput)->ArgName("max_batch")->Arg(1)->Arg(8)->Arg(32)->UseRealTime();

}  // namespace
}  // namespace orchard::core
