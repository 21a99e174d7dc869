#include <vector>

#include <benchmark/benchmark.h>

#include "tests/testing/pictures.h"
#include "vision/preprocess.h"

namespace orchard::vision {
namespace {

/// Sizes as they come from the decoder: 224 to 447 pixels a shorter side, more for a PNG.
void BM_FitToEncoder(benchmark::State& state, const Profile& profile) {
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
void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"width", "height"})
      ->Args({336, 224})
      ->Args({300, 400})
      ->Args({640, 427})
      ->Args({4000, 3000})
      ->Args({128, 96})
      ->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(BM_FitToEncoder, whole,
                  Profile{.shorter_side = 224, .crop = 224, .framing = Framing::kWholePicture})
    ->Apply(Sizes);
BENCHMARK_CAPTURE(BM_FitToEncoder, centre, Profile{.shorter_side = 256, .crop = 224})->Apply(Sizes);

}  // namespace
}  // namespace orchard::vision
