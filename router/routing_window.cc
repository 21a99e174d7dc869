#include "router/routing_window.h"

#include <cmath>
#include <numeric>

namespace orchard::router {
namespace {

constexpr size_t kSteps = 60;

}  // namespace

RoutingWindow::RoutingWindow(size_t domains, core::Clock::duration window)
    : load_(domains, window, kSteps), importance_(domains, window, kSteps) {}

void RoutingWindow::Add(const std::vector<bool>& activated, std::span<const double> log_domain,
                        core::Clock::time_point now) {
  core::MutexLock lock(mutex_);
  for (size_t domain = 0; domain < log_domain.size(); ++domain) {
    if (activated[domain]) load_.Add(domain, 1.0, now);
    importance_.Add(domain, std::exp(log_domain[domain]), now);
  }
}

RoutingWindow::Summary RoutingWindow::Summarise(core::Clock::time_point now) {
  std::vector<double> load;
  std::vector<double> importance;
  {
    core::MutexLock lock(mutex_);
    load = load_.Sums(now);
    importance = importance_.Sums(now);
  }
  Summary summary{.load_share = load, .health = moe::Health(load, importance)};
  const double total = std::accumulate(load.begin(), load.end(), 0.0);
  if (total > 0.0) {
    for (double& share : summary.load_share) share /= total;
  }
  return summary;
}

}  // namespace orchard::router
