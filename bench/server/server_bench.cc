#include <array>
#include <string>

#include <benchmark/benchmark.h>
#include <prometheus/histogram.h>

#include "server/log.h"
#include "server/metrics.h"

namespace orchard::server {
namespace {

/// One access line, as every request ends with: formatting alone, without the write.
void BM_FormatLogLine(benchmark::State& state) {
  const std::string id = "7f3a91c2";
  for (auto _ : state) {
    const std::array<LogField, 6> fields = {
        LogField("request_id", id), LogField("code", absl::StatusCode::kOk),
        LogField("images", 1),      LogField("ms", 12.345),
        LogField("experts", 2),     LogField("degraded", false)};
    benchmark::DoNotOptimize(FormatLogLine("classify", fields));
  }
  state.SetItemsProcessed(state.iterations());  // → lines per second
}
BENCHMARK(BM_FormatLogLine);

/// A scrape of a page with as many histograms as a router has stages and domains.
void BM_MetricsPage(benchmark::State& state) {
  MetricsPage page("orchard-router", "0");
  auto& family = prometheus::BuildHistogram()
                     .Name("orchard_stage_duration_seconds")
                     .Help("Durations.")
                     .Register(page.registry());
  for (int i = 0; i < state.range(0); ++i) {
    family.Add({{"stage", std::to_string(i)}}, SecondsBuckets()).Observe(0.01);
  }
  for (auto _ : state) benchmark::DoNotOptimize(page.Text());
  state.SetItemsProcessed(state.iterations());  // → pages per second
}
BENCHMARK(BM_MetricsPage)->ArgName("histograms")->Arg(8)->Arg(64);

}  // namespace
}  // namespace orchard::server
