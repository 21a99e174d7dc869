#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/log_space.h"
#include "moe/plan.h"
#include "moe/policy.h"

namespace orchard::moe {
namespace {

/// The first wave of each policy over nine domains.
void BM_NextWave(benchmark::State& state) {
  const PolicyKind kind = AllPolicies()[static_cast<size_t>(state.range(0))];
  const Policy policy{.kind = kind};
  const std::vector<float> logits = {1.0F, 0.3F, -2.0F, 4.0F, 2.5F, -1.0F, 0.0F, 0.1F, -3.0F};
  const std::vector<double> log_domain = core::LogSoftmax(logits, 1.0);
  const std::vector<ExpertState> states(log_domain.size(), ExpertState::kUnasked);
  for (auto _ : state) {
    benchmark::DoNotOptimize(NextWave(policy, log_domain, states, core::kMasked));
  }
  state.SetLabel(std::string(Name(kind)));
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_NextWave)->ArgName("policy")->DenseRange(0, 6);

}  // namespace
}  // namespace orchard::moe
