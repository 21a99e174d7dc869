#include <vector>

#include <benchmark/benchmark.h>

#include "tests/testing/pictures.h"
#include "vision/augment.h"

namespace orchard::vision {
namespace {

void Run(benchmark::State& state, const Augmentation& augmentation) {
  const auto side = static_cast<size_t>(state.range(0));
  const Image image = testing::DrawLeaf(341, 256, 1);
  std::vector<std::uint8_t> out(side * side * 3);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    Augment(image, augmentation, side, random, out);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}

void BM_Augment_Crop(benchmark::State& state) {
  Run(state, {.min_area = 0.3, .min_aspect = 0.75, .horizontal_flip = 0.5, .vertical_flip = 0.5});
}
BENCHMARK(BM_Augment_Crop)->ArgName("side")->Arg(224)->Unit(benchmark::kMicrosecond);

void BM_Augment_Everything(benchmark::State& state) {
  Run(state, {.min_area = 0.3,
              .min_aspect = 0.75,
              .horizontal_flip = 0.5,
              .vertical_flip = 0.5,
              .brightness = 0.2,
              .contrast = 0.2,
              .saturation = 0.2,
              .hue = 0.05,
              .erasing = 0.5});
}
BENCHMARK(BM_Augment_Everything)
    ->ArgName("side")
    ->Arg(224)
    ->Arg(256)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace orchard::vision
