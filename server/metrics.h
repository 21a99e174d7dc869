#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "core/mutex.h"

/// \file
/// What /metrics says. Our own metrics are registered in the registry by the folders that measure
/// (resolved once at start; labels from closed sets); this file adds what every process has.

namespace orchard::server {

/// Edges for durations: 0.001 … 5 seconds, around the objectives. Source: serving.md section 7.1.
const prometheus::Histogram::BucketBoundaries& SecondsBuckets();

/// Edges for batch sizes: 1, 2, 4, 8, 16, 32.
const prometheus::Histogram::BucketBoundaries& BatchSizeBuckets();

/// A metric by its labels, registered. `name` is once in a registry.
prometheus::Family<prometheus::Counter>& CounterFamily(prometheus::Registry& registry,
                                                       const char* name, const char* help);
prometheus::Family<prometheus::Gauge>& GaugeFamily(prometheus::Registry& registry, const char* name,
                                                   const char* help);
prometheus::Family<prometheus::Histogram>& HistogramFamily(prometheus::Registry& registry,
                                                           const char* name, const char* help);

/// orchard_log_lines_dropped_total; and process_resident_memory_bytes, process_open_fds,
/// process_max_fds, process_cpu_seconds_total and process_start_time_seconds, read from /proc when
/// scraped. Thread-safe.
class ProcessCollector final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

/// The metrics of one process as a page. Thread-safe.
class MetricsPage {
 public:
  /// Registers `orchard_build_info{program, version}`.
  MetricsPage(const std::string& program, const std::string& version);

  /// Where metrics are registered. Lives as long as the page.
  prometheus::Registry& registry() { return *registry_; }

  /// `refresh` runs before every rendering, for gauges that are computed when scraped (windows,
  /// queue depths). It runs on an HTTP thread, one at a time, and must be quick; what it touches
  /// must outlive the HTTP server.
  void OnScrape(std::function<void()> refresh) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Prometheus' text format, version 0.0.4.
  std::string Text() ABSL_LOCKS_EXCLUDED(mutex_);

  static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  ProcessCollector process_;
  core::Mutex mutex_;
  std::vector<std::function<void()>> refresh_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orchard::server
