#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/model/full_model.h"
#include "model/expert_head.h"
#include "model/loaded_model.h"
#include "model/unknown_score.h"

namespace orchard::model {
namespace {

/// The first four domains: one of each architecture.
void BM_Score(benchmark::State& state) {
  PrepareInferenceThread();
  static const auto experts = Need(LoadExperts(FullModel(), {}));
  const ExpertHead& expert = *experts[static_cast<size_t>(state.range(0))];
  const auto rows = static_cast<size_t>(state.range(1));
  const std::vector<float> features(rows * expert.row_width(), 0.4F);
  for (auto _ : state) benchmark::DoNotOptimize(expert.Score(features, rows));
  state.SetLabel(expert.part().architecture().name());
  state.SetItemsProcessed(state.iterations() * state.range(1));  // → pictures per second
}
BENCHMARK(BM_Score)->ArgNames({"expert", "rows"})->ArgsProduct({{0, 1, 2, 3}, {1, 4}});

void BM_UnknownScore(benchmark::State& state) {
  constexpr size_t kWidth = 1280;
  constexpr size_t kClasses = 85;
  constexpr size_t kRows = 680;
  v1::UnknownScore spec;
  spec.set_kind("relative_mahalanobis");
  (*spec.mutable_arguments())["rank"] = static_cast<int>(state.range(0));
  (*spec.mutable_arguments())["normalise"] = 1;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
  std::vector<float> rows(kRows * kWidth);
  for (float& value : rows) value = uniform(random);
  std::vector<size_t> labels;
  for (size_t i = 0; i < kRows; ++i) labels.push_back(i % kClasses);
  const auto tensors = Need(FitUnknownScore(spec, rows, kWidth, labels));
  const auto score = Need(MakeUnknownScore(spec, tensors, kWidth, "bench"));
  const std::vector<float> row(rows.begin(), rows.begin() + kWidth);
  for (auto _ : state) benchmark::DoNotOptimize(score->Score(row, {}));
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_UnknownScore)->ArgName("rank")->Arg(128)->Arg(256)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace orchard::model
