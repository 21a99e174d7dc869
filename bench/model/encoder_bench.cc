#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/model/full_model.h"
#include "model/loaded_model.h"

namespace orchard::model {
namespace {

constexpr size_t kMaxBatch = 8;

const RouterModel& Loaded() {
  static const RouterModel model = Need(LoadRouterModel(FullModel(), kMaxBatch));
  return model;
}

void BM_Encode(benchmark::State& state) {
  PrepareInferenceThread();
  const auto rows = static_cast<size_t>(state.range(0));
  std::vector<std::uint8_t> pixels(rows * 224 * 224 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 31 % 251);
  for (auto _ : state) benchmark::DoNotOptimize(Loaded().encoder->Encode(pixels, rows));
  state.SetItemsProcessed(state.iterations() * state.range(0));  // → pictures per second
}
BENCHMARK(BM_Encode)->ArgName("pictures")->Arg(1)->Arg(2)->Arg(4)->Arg(8);

/// Gate1, both Gate2 and the unknown-domain score.
void BM_Gates(benchmark::State& state) {
  PrepareInferenceThread();
  const auto rows = static_cast<size_t>(state.range(0));
  const core::FeatureBatch features{
      .rows = rows,
      .views = {std::make_shared<const core::View>(
          std::make_shared<const core::ViewSpec>(core::ViewSpec{.row_shape = {1280}}),
          std::vector<float>(rows * 1280, 0.4F))}};
  for (auto _ : state) benchmark::DoNotOptimize(Loaded().gates->Evaluate(features));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Gates)->ArgName("pictures")->Arg(1)->Arg(4);

}  // namespace
}  // namespace orchard::model
