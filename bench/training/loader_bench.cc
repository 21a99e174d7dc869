#include <array>
#include <numeric>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "tests/testing/pictures.h"
#include "training/data/loader.h"
#include "training/data/picture_store.h"

namespace orchard::training {
namespace {

constexpr size_t kPictures = 512;
constexpr size_t kBatch = 128;
constexpr size_t kSide = 32;
constexpr size_t kClasses = 10;

/// What a recipe for small pictures asks for.
v1::Augmentation Everything() {
  v1::Augmentation a;
  a.set_min_area(0.6);
  a.set_min_aspect(0.8);
  a.set_horizontal_flip(0.5);
  a.set_brightness(0.1);
  a.set_contrast(0.1);
  a.set_saturation(0.1);
  a.set_hue(0.02);
  a.set_erasing(0.3);
  a.set_rotation(15);
  a.set_pad(4);
  a.mutable_rand_augment()->set_operations(2);
  a.mutable_rand_augment()->set_magnitude(9);
  a.set_jpeg(1.0);
  return a;
}

/// Views a second of one thread, 32 × 32.
void Run(benchmark::State& state, const v1::Augmentation& augmentation, const Mixing& mixing) {
  std::vector<vision::Image> images;
  std::vector<Label> labels;
  for (size_t i = 0; i < kPictures; ++i) {
    images.push_back(testing::DrawLeaf(kSide, kSide, i));
    labels.push_back({.domain = 0, .label = i % kClasses});
  }
  const PictureStore store(std::move(images));
  const std::array augmentations = {augmentation};
  EpochPlan plan{.pictures = std::vector<size_t>(kPictures),
                 .sides = std::vector<size_t>(kPictures / kBatch, kSide),
                 .batch = kBatch,
                 .framing = vision::Framing::kWholePicture,
                 .seed = 1,
                 .mirrors = {},
                 .mixing = mixing,
                 .classes = {{.name = "d", .branch = "b", .classes = {}}}};
  plan.classes[0].classes.resize(kClasses);
  std::iota(plan.pictures.begin(), plan.pictures.end(), size_t{0});
  for (auto _ : state) {
    Loader loader(store, labels, augmentations, plan, /*threads=*/1);
    for (size_t i = 0; i < loader.batches(); ++i) benchmark::DoNotOptimize(loader.Next());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kPictures));
}

void BM_Loader_Plain(benchmark::State& state) { Run(state, {}, {}); }
BENCHMARK(BM_Loader_Plain)->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

void BM_Loader_Everything(benchmark::State& state) {
  Run(state, Everything(), {.cutmix = 0.5, .mixup = 0.5});
}
BENCHMARK(BM_Loader_Everything)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace orchard::training
