#include <vector>

#include <benchmark/benchmark.h>

#include "tests/testing/pictures.h"
#include "vision/preprocess.h"

namespace orchard::vision {
namespace {

/// Sizes as they come from the decoder: 256 to 511 pixels a shorter side, more for a PNG.
void BM_FitToEncoder(benchmark::State& state) {
  const Profile profile{.shorter_side = 256, .crop = 224};
  const Image image = testing::DrawLeaf(static_cast<size_t>(state.range(0)),
                                        static_cast<size_t>(state.range(1)), 1);
  std::vector<std::uint8_t> out(profile.crop * profile.crop * 3);
  for (auto _ : state) {
    FitToEncoder(image, profile, out);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_FitToEncoder)
    ->ArgNames({"width", "height"})
    ->Args({341, 256})
    ->Args({396, 512})
    ->Args({680, 510})
    ->Args({4000, 3000})
    ->Args({128, 96})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace orchard::vision
