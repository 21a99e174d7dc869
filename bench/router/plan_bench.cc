// What a picture pays for knowing whom to ask. Budget of a step: 5 microseconds with 200 domains of
// ten endpoints each.

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/clock.h"
#include "core/timer_queue.h"
#include "experts/remote_expert.h"
#include "experts/resolver.h"
#include "router/demand_meter.h"
#include "router/fleet.h"
#include "router/gather.h"

namespace orchard::router {
namespace {

constexpr size_t kPictures = 1000;

/// Remote experts at addresses of this machine where nobody listens: endpoints come and go with
/// their attempts to connect meanwhile.
class Experts {
 public:
  Experts(size_t domains, size_t endpoints) : resolver_({}), fleet_(Make(domains, endpoints)) {}
  const ExpertFleet& fleet() const { return fleet_; }

 private:
  std::vector<std::unique_ptr<experts::Expert>> Make(size_t domains, size_t endpoints) {
    experts::ExpertSpec spec;
    spec.domain = "fruit";
    spec.classes.assign(30, "class");
    spec.kind = core::FeatureKind::kPooled;
    spec.row_shape = {1280};
    std::vector<std::unique_ptr<experts::Expert>> experts;
    for (size_t domain = 0; domain < domains; ++domain) {
      experts::RemoteExpertOptions options;
      options.timers = &timers_;
      options.resolver = &resolver_;
      std::vector<experts::Target> targets;
      for (size_t i = 0; i < endpoints; ++i) {
        targets.push_back(
            {.dns = false, .address = {"127.0.0.1", static_cast<std::uint16_t>(i + 1)}});
      }
      experts.push_back(
          std::make_unique<experts::RemoteExpert>(spec, std::move(targets), std::move(options)));
    }
    return experts;
  }

  core::TimerQueue timers_;
  experts::Resolver resolver_;
  ExpertFleet fleet_;
};

/// Gates that lean towards the later domains, and none that is sure.
std::vector<double> LogDomain(size_t domains) {
  std::vector<double> log_domain;
  for (size_t domain = 0; domain < domains; ++domain) {
    log_domain.push_back(std::log(2.0 * double(domain + 1) / double(domains * (domains + 1))));
  }
  return log_domain;
}

/// The whole step: the fleet's word on every domain, and one picture's first wave. Whoever is up is
/// asked, so that the step ends as it mostly does; the fleet's word is what costs.
void BM_PlanStep(benchmark::State& state) {
  const moe::PolicyKind kind = moe::AllPolicies()[static_cast<size_t>(state.range(0))];
  const auto domains = static_cast<size_t>(state.range(1));
  const Experts experts(domains, static_cast<size_t>(state.range(2)));
  const Catalogue catalogue;
  const Gather fresh({.kind = kind}, LogDomain(domains), catalogue);
  std::vector<std::optional<experts::MissingReason>> said(domains);
  const std::vector<std::optional<experts::MissingReason>> all_up(domains);
  std::vector<Gather> pictures;
  PlanRoom room;
  for (auto _ : state) {
    if (pictures.empty()) {  // A picture is planned for once.
      state.PauseTiming();
      pictures.assign(kPictures, fresh);
      state.ResumeTiming();
    }
    experts.fleet().Unavailable(said);
    benchmark::DoNotOptimize(said.data());
    benchmark::DoNotOptimize(pictures.back().Next(all_up, room));
    pictures.pop_back();
  }
  state.SetLabel(std::string(Name(kind)));
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_PlanStep)
    ->ArgNames({"policy", "domains", "endpoints"})
    ->ArgsProduct({benchmark::CreateDenseRange(0, 6, 1), {200}, {10}})
    ->Args({0, 9, 1});

/// What a planned picture pays besides, for each domain that it wants; in threads that want the
/// same one, as encode workers do.
void BM_Wanted(benchmark::State& state) {
  static DemandMeter meter(/*domains=*/9, {});
  for (auto _ : state) meter.Wanted(/*domain=*/3, core::Clock::now());
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_Wanted)->Threads(1)->Threads(2);

/// What a scrape, or an autoscaler, pays for a domain.
void BM_ReadDemand(benchmark::State& state) {
  DemandMeter meter(/*domains=*/9, {});
  meter.Wanted(3, core::Clock::now());
  for (auto _ : state) benchmark::DoNotOptimize(meter.Read(3, 0.001, core::Clock::now()));
}
BENCHMARK(BM_ReadDemand);

}  // namespace
}  // namespace orchard::router
