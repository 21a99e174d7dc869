// What a micro-batch pays for knowing whom to ask: the fleet's word on every domain, and one
// picture's first wave. Budget: 5 microseconds with 200 domains.

#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "router/fleet.h"
#include "router/gather.h"

namespace orchard::router {
namespace {

/// An expert whose state is one value, as a remote one's is.
class Listed final : public experts::Expert {
 public:
  void Score(experts::SubBatch, experts::CallContext, Done done) override {
    std::move(done)({.scores = absl::UnavailableError("not here")});
  }
  void Stop() override {}
  std::optional<experts::MissingReason> Unavailable() const override {
    if (up_.load(std::memory_order_relaxed)) return std::nullopt;
    return experts::MissingReason::kDown;
  }

 private:
  std::atomic<bool> up_ = true;
};

struct Setting {
  explicit Setting(size_t domains) {
    for (size_t domain = 0; domain < domains; ++domain) {
      experts.push_back(std::make_unique<Listed>());
      log_domain.push_back(std::log(2.0 * double(domain + 1) / double(domains * (domains + 1))));
    }
  }
  std::vector<std::unique_ptr<experts::Expert>> experts;
  std::vector<double> log_domain;
};

void BM_Unavailable(benchmark::State& state) {
  const auto domains = static_cast<size_t>(state.range(0));
  ExpertFleet fleet(Setting(domains).experts);
  std::vector<std::optional<experts::MissingReason>> unavailable(domains);
  for (auto _ : state) {
    fleet.Unavailable(unavailable);
    benchmark::DoNotOptimize(unavailable.data());
  }
}
BENCHMARK(BM_Unavailable)->ArgName("domains")->Arg(9)->Arg(200);

void BM_FirstWave(benchmark::State& state) {
  const auto domains = static_cast<size_t>(state.range(0));
  const Setting setting(domains);
  const Catalogue catalogue;
  const std::vector<std::optional<experts::MissingReason>> unavailable(domains);
  const Gather fresh({.kind = moe::PolicyKind::kExact}, setting.log_domain, catalogue);
  for (auto _ : state) {
    Gather gather = fresh;  // Its copy is not planning, and counts all the same.
    benchmark::DoNotOptimize(gather.Next(unavailable));
  }
}
BENCHMARK(BM_FirstWave)->ArgName("domains")->Arg(9)->Arg(200);

}  // namespace
}  // namespace orchard::router
