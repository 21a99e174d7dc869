#include "server/metrics.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <sstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>

namespace orchard::server {
namespace {

using ::testing::HasSubstr;

/// The samples of a page without labels, by name.
std::map<std::string, double> Samples(const std::string& page) {
  std::map<std::string, double> samples;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    const size_t space = line.rfind(' ');
    samples[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return samples;
}

TEST(MetricsPageTest, SaysWhatRunsAndWhatWasRegistered) {
  MetricsPage page("orchard-router", "1.2.3");
  prometheus::BuildCounter()
      .Name("orchard_requests_total")
      .Help("Requests.")
      .Register(page.registry())
      .Add({{"code", "OK"}})
      .Increment(3);
  const std::string text = page.Text();
  EXPECT_THAT(text,
              HasSubstr("orchard_build_info{program=\"orchard-router\",version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("# HELP orchard_requests_total Requests.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE orchard_requests_total counter\n"));
  EXPECT_THAT(text, HasSubstr("orchard_requests_total{code=\"OK\"} 3\n"));
}

TEST(MetricsPageTest, RefreshesRunBeforeEveryPage) {
  MetricsPage page("p", "1");
  prometheus::Gauge& depth = prometheus::BuildGauge()
                                 .Name("orchard_queue_depth")
                                 .Help("Waiting.")
                                 .Register(page.registry())
                                 .Add({});
  int scrapes = 0;
  page.OnScrape([&] { depth.Set(++scrapes); });
  EXPECT_EQ(Samples(page.Text())["orchard_queue_depth"], 1);
  EXPECT_EQ(Samples(page.Text())["orchard_queue_depth"], 2);
}

TEST(MetricsPageTest, HasTheProcessFiguresWithSaneValues) {
  MetricsPage page("p", "1");
  std::map<std::string, double> samples = Samples(page.Text());
  EXPECT_GT(samples["process_resident_memory_bytes"], 1e6);
  EXPECT_LT(samples["process_resident_memory_bytes"], 1e11);
  EXPECT_GE(samples["process_open_fds"], 3);
  EXPECT_GE(samples["process_max_fds"], samples["process_open_fds"]);
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(samples["process_start_time_seconds"], now + 2);
  EXPECT_GT(samples["process_start_time_seconds"], now - 86'400);
}

TEST(MetricsPageTest, OpenFilesAreCounted) {
  const ProcessCollector process;
  const auto open_fds = [&process] {
    const std::vector<prometheus::MetricFamily> families = process.Collect();
    const auto family =
        std::ranges::find(families, "process_open_fds", &prometheus::MetricFamily::name);
    return family->metric.front().gauge.value;
  };
  const double before = open_fds();
  const int fd = dup(0);
  EXPECT_EQ(open_fds(), before + 1);
  close(fd);
}

TEST(MetricsPageTest, CpuTimeIsACounterThatGrowsWithWork) {
  MetricsPage page("p", "1");
  const double before = Samples(page.Text())["process_cpu_seconds_total"];
  // 30 ms of CPU time are three of the kernel's ticks.
  const std::clock_t end = std::clock() + 3 * CLOCKS_PER_SEC / 100;
  while (std::clock() < end) {
  }
  EXPECT_GT(Samples(page.Text())["process_cpu_seconds_total"], before);
  EXPECT_THAT(page.Text(), HasSubstr("# TYPE process_cpu_seconds_total counter\n"));
}

TEST(BucketsTest, RiseAndHaveTheEdgesOfTheObjectives) {
  EXPECT_TRUE(std::ranges::is_sorted(SecondsBuckets()));
  EXPECT_EQ(SecondsBuckets().front(), 0.001);
  EXPECT_EQ(SecondsBuckets().back(), 5.0);
  EXPECT_THAT(BatchSizeBuckets(), ::testing::ElementsAre(1, 2, 4, 8, 16, 32));
}

}  // namespace
}  // namespace orchard::server
