#include "server/metrics.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>

#include <prometheus/text_serializer.h>

#include "server/log.h"

namespace orchard::server {
namespace {

std::string ReadProc(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// What /proc/self/stat says; zeros when it can't be read.
struct ProcessTimes {
  double cpu_seconds = 0.0;
  double start_since_boot_seconds = 0.0;
};

ProcessTimes ReadTimes() {
  const std::string stat = ReadProc("/proc/self/stat");
  // The second field is the program's name in parentheses and may hold anything; what follows the
  // last ')' is field 3 and up. proc(5): utime is 14, stime 15, starttime 22, all in ticks.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0.0;
  double system = 0.0;
  fields >> user >> system;
  for (int field = 16; field < 22; ++field) fields >> skipped;
  double start = 0.0;
  fields >> start;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {.cpu_seconds = (user + system) / ticks, .start_since_boot_seconds = start / ticks};
}

/// When the machine booted, seconds since 1970.
double ReadBootTime() {
  std::istringstream lines(ReadProc("/proc/stat"));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return 0.0;
}

double ReadResidentBytes() {
  std::istringstream fields(ReadProc("/proc/self/statm"));
  double total = 0.0;
  double resident = 0.0;
  fields >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double CountOpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator begin("/proc/self/fd", error);
  if (error) return 0.0;
  // One of them is the directory being listed.
  return static_cast<double>(std::distance(begin, std::filesystem::directory_iterator())) - 1.0;
}

double MaxOpenFiles() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : 0.0;
}

prometheus::MetricFamily Single(const char* name, const char* help, prometheus::MetricType type,
                                double value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {name, help, type, {metric}};
}

}  // namespace

const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const prometheus::Histogram::BucketBoundaries buckets = {
      0.001, 0.002, 0.005, 0.010, 0.020, 0.035, 0.050, 0.075,
      0.100, 0.150, 0.200, 0.350, 0.500, 1.0,   2.5,   5.0};
  return buckets;
}

const prometheus::Histogram::BucketBoundaries& BatchSizeBuckets() {
  static const prometheus::Histogram::BucketBoundaries buckets = {1, 2, 4, 8, 16, 32};
  return buckets;
}

std::vector<prometheus::MetricFamily> ProcessCollector::Collect() const {
  using prometheus::MetricType;
  const ProcessTimes times = ReadTimes();
  return {
      Single("orchard_log_lines_dropped_total",
             "Lines of the log dropped because they came quicker than stderr was read.",
             MetricType::Counter, static_cast<double>(DroppedLogLines())),
      Single("process_cpu_seconds_total", "User and system CPU time spent, seconds.",
             MetricType::Counter, times.cpu_seconds),
      Single("process_resident_memory_bytes", "Resident memory, bytes.", MetricType::Gauge,
             ReadResidentBytes()),
      Single("process_open_fds", "Open file descriptors.", MetricType::Gauge, CountOpenFiles()),
      Single("process_max_fds", "Limit of open file descriptors.", MetricType::Gauge,
             MaxOpenFiles()),
      Single("process_start_time_seconds", "Start of the process, seconds since 1970.",
             MetricType::Gauge, ReadBootTime() + times.start_since_boot_seconds),
  };
}

prometheus::Family<prometheus::Counter>& CounterFamily(prometheus::Registry& registry,
                                                       const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& GaugeFamily(prometheus::Registry& registry, const char* name,
                                                   const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& HistogramFamily(prometheus::Registry& registry,
                                                           const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

MetricsPage::MetricsPage(const std::string& program, const std::string& version)
    : registry_(std::make_shared<prometheus::Registry>()) {
  GaugeFamily(*registry_, "orchard_build_info", "Always 1; what is running, as labels.")
      .Add({{"program", program}, {"version", version}})
      .Set(1.0);
}

void MetricsPage::OnScrape(std::function<void()> refresh) {
  core::MutexLock lock(mutex_);
  refresh_.push_back(std::move(refresh));
}

std::string MetricsPage::Text() {
  // Under the lock on purpose: refreshes write gauges, and two scrapes must not mix them.
  core::MutexLock lock(mutex_);
  for (const std::function<void()>& refresh : refresh_) refresh();
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  std::vector<prometheus::MetricFamily> process = process_.Collect();
  families.insert(families.end(), std::make_move_iterator(process.begin()),
                  std::make_move_iterator(process.end()));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace orchard::server
