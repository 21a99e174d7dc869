#include "router/routing_window.h"

#include <cmath>
#include <numeric>
#include <span>

namespace orchard::router {
namespace {

constexpr size_t kSteps = 60;

}  // namespace

RoutingWindow::RoutingWindow(size_t domains, core::Clock::duration window)
    : load_(domains, window, kSteps), importance_(domains, window, kSteps) {}

void RoutingWindow::Add(const Routing& routing, core::Clock::time_point now) {
  // Not under the lock, which all that answer share.
  thread_local std::vector<double> probabilities;
  probabilities.clear();
  for (const DomainRoute& route : routing.domains) {
    probabilities.push_back(std::exp(route.log_probability));
  }
  core::MutexLock lock(mutex_);
  const std::span<double> load = load_.At(now);
  const std::span<double> importance = importance_.At(now);
  for (size_t domain = 0; domain < routing.domains.size(); ++domain) {
    if (routing.domains[domain].activated) load[domain] += 1.0;
    importance[domain] += probabilities[domain];
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
