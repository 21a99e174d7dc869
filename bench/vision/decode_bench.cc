#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "tests/testing/pictures.h"
#include "vision/decode.h"
#include "vision/preprocess.h"

namespace orchard::vision {
namespace {

constexpr Profile kProfile{.shorter_side = 224, .crop = 224, .framing = Framing::kWholePicture};

std::string Read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The photographs in $ORCHARD_SHARED_DATA/photos; none where that is not set.
const std::vector<std::string>& Photographs() {
  static const std::vector<std::string> photographs = [] {
    std::vector<std::string> files;
    const char* folder = std::getenv("ORCHARD_SHARED_DATA");
    std::error_code missing;
    if (folder == nullptr) return files;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(folder) / "photos", missing)) {
      files.push_back(Read(entry.path()));
    }
    return files;
  }();
  return photographs;
}

void CountBytes(benchmark::State& state, size_t bytes) {
  state.SetItemsProcessed(state.iterations());  // → pictures per second
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

/// What the router does with a request's picture.
void BM_DecodeForEncoder_Photographs(benchmark::State& state) {
  if (Photographs().empty()) {
    state.SkipWithError("set ORCHARD_SHARED_DATA to a folder with photos/");
    return;
  }
  std::vector<std::uint8_t> out(kProfile.crop * kProfile.crop * 3);
  size_t next = 0;
  size_t bytes = 0;
  for (auto _ : state) {
    const std::string& photograph = Photographs()[next++ % Photographs().size()];
    benchmark::DoNotOptimize(DecodeForEncoder(photograph, {}, kProfile, out));
    bytes += photograph.size();
  }
  CountBytes(state, bytes);
}
BENCHMARK(BM_DecodeForEncoder_Photographs)->Unit(benchmark::kMillisecond);

void DecodeRepeatedly(benchmark::State& state, const std::string& picture) {
  std::vector<std::uint8_t> out(kProfile.crop * kProfile.crop * 3);
  for (auto _ : state) benchmark::DoNotOptimize(DecodeForEncoder(picture, {}, kProfile, out));
  CountBytes(state, static_cast<size_t>(state.iterations()) * picture.size());
}

/// A drawn leaf of 4:3; its noisy ground makes the file as heavy as a photograph.
Image Leaf(const benchmark::State& state) {
  const auto height = static_cast<size_t>(state.range(0));
  return testing::DrawLeaf(height * 4 / 3, height, 1);
}

void BM_DecodeForEncoder_Jpeg(benchmark::State& state) {
  DecodeRepeatedly(state, testing::EncodeJpeg(Leaf(state)));
}
BENCHMARK(BM_DecodeForEncoder_Jpeg)
    ->ArgName("height")
    ->Arg(256)
    ->Arg(768)
    ->Arg(3000)
    ->Unit(benchmark::kMillisecond);

void BM_DecodeForEncoder_TurnedJpeg(benchmark::State& state) {
  DecodeRepeatedly(state, testing::WithOrientation(testing::EncodeJpeg(Leaf(state)), 6));
}
BENCHMARK(BM_DecodeForEncoder_TurnedJpeg)
    ->ArgName("height")
    ->Arg(768)
    ->Unit(benchmark::kMillisecond);

void BM_DecodeForEncoder_Png(benchmark::State& state) {
  DecodeRepeatedly(state, testing::EncodePng(Leaf(state)));
}
BENCHMARK(BM_DecodeForEncoder_Png)
    ->ArgName("height")
    ->Arg(256)
    ->Arg(768)
    ->Unit(benchmark::kMillisecond);

void BM_DecodeForEncoder_Webp(benchmark::State& state) {
  DecodeRepeatedly(state, testing::EncodeWebp(Leaf(state), 80));
}
BENCHMARK(BM_DecodeForEncoder_Webp)
    ->ArgName("height")
    ->Arg(256)
    ->Arg(768)
    ->Unit(benchmark::kMillisecond);

/// Header and structure alone, as admission would do.
void BM_Sniff(benchmark::State& state) {
  const std::string picture = testing::EncodeJpeg(Leaf(state));
  for (auto _ : state) benchmark::DoNotOptimize(Sniff(picture));
  CountBytes(state, static_cast<size_t>(state.iterations()) * picture.size());
}
BENCHMARK(BM_Sniff)->ArgName("height")->Arg(768);

}  // namespace
}  // namespace orchard::vision
