#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/log_space.h"
#include "moe/plan.h"
#include "moe/policy.h"

namespace orchard::moe {
namespace {

/// The first wave of each policy.
void BM_NextWave(benchmark::State& state) {
  const PolicyKind kind = AllPolicies()[static_cast<size_t>(state.range(0))];
  const Policy policy{.kind = kind};
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(static_cast<size_t>(state.range(1)));
  for (float& logit : logits) logit = normal(random);
  const std::vector<double> log_domain = core::LogSoftmax(logits, 1.0);
  const std::vector<ExpertState> states(log_domain.size(), ExpertState::kUnasked);
  std::vector<size_t> wave;
  for (auto _ : state) {
    NextWave(policy, log_domain, states, core::kMasked, wave);
    benchmark::DoNotOptimize(wave.data());
  }
  state.SetLabel(std::string(Name(kind)));
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_NextWave)
    ->ArgNames({"policy", "domains"})
    ->ArgsProduct({benchmark::CreateDenseRange(0, 6, 1), {9, 200}});

}  // namespace
}  // namespace orchard::moe
