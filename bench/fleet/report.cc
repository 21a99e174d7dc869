#include "bench/fleet/report.h"

#include <cmath>
#include <vector>

#include "core/clock.h"
#include "nlohmann/json.hpp"

namespace orchard::bench {
namespace {

using Json = nlohmann::ordered_json;

double Rounded(double value) { return std::round(value * 1e4) / 1e4; }

Json TimesOf(const client::Histogram& times) {
  const auto at = [&](double share) { return Rounded(core::Milliseconds(times.Quantile(share))); };
  return {{"count", times.count()}, {"mean", Rounded(core::Milliseconds(times.mean()))},
          {"p50", at(.5)},          {"p90", at(.9)},
          {"p99", at(.99)},         {"p999", at(.999)},
          {"max", at(1.0)}};
}

Json CountsOf(const Counts& counts) {
  Json shed = Json::object();
  for (size_t reason = 0; reason < router::kSheds; ++reason) {
    if (counts.shed[reason] == 0) continue;
    shed[std::string(router::Name(static_cast<router::Shed>(reason)))] = counts.shed[reason];
  }
  return {{"offered", counts.offered},   {"answered", counts.answered},
          {"degraded", counts.degraded}, {"refused", counts.refused()},
          {"lost", counts.lost},         {"late", counts.late},
          {"shed", std::move(shed)}};
}

Json CallsOf(const Tally& tally) {
  Json missing = Json::object();
  for (size_t i = 0; i < experts::kMissingReasons; ++i) {
    const auto reason = static_cast<experts::MissingReason>(i);
    if (tally.missing(reason) > 0)
      missing[std::string(experts::Name(reason))] = tally.missing(reason);
  }
  return {{"latency_ms", TimesOf(tally.call_latency())},
          {"missing_rows", std::move(missing)},
          {"retries", tally.retries()},
          {"hedges", tally.hedges()},
          {"ejections", tally.ejections()}};
}

Json DomainsOf(Simulation& simulation) {
  Json domains = Json::object();
  const auto figures = simulation.Domains();
  for (size_t i = 0; i < figures.size(); ++i) {
    domains[simulation.plan().domains[i].name] = {
        {"pods", figures[i].pods},
        {"utilisation", Rounded(figures[i].utilisation.mean)},
        {"most_utilisation", Rounded(figures[i].utilisation.most)},
        {"max_over_mean", Rounded(figures[i].max_over_mean)}};
  }
  return domains;
}

Json CourseOf(const Simulation& simulation) {
  Json course = Json::array();
  const auto& intervals = simulation.tally().intervals();
  const auto& samples = simulation.samples();
  for (size_t i = 0; i < intervals.size() && i < samples.size(); ++i) {
    Json desired = Json::array();
    for (const double replicas : samples[i].desired) desired.push_back(Rounded(replicas));
    course.push_back({{"seconds", samples[i].seconds},
                      {"counts", CountsOf(intervals[i].counts)},
                      {"p50_ms", Rounded(core::Milliseconds(intervals[i].latency.Quantile(.5)))},
                      {"p99_ms", Rounded(core::Milliseconds(intervals[i].latency.Quantile(.99)))},
                      {"serving", samples[i].serving},
                      {"desired", std::move(desired)}});
  }
  return course;
}

}  // namespace

std::string ReportJson(Simulation& simulation, double wall_seconds) {
  const FleetPlan& plan = simulation.plan();
  const Tally& tally = simulation.tally();
  const Simulation::Utilisation routers = simulation.RouterUtilisation();
  const double seconds = core::Seconds(plan.measured);
  const auto rate = [&](std::uint64_t count) {
    return Rounded(static_cast<double>(count) / seconds);
  };
  const Json json = {{"seed", plan.seed},
                     {"routers", plan.routers.count},
                     {"measured_seconds", seconds},
                     {"counts", CountsOf(tally.measured())},
                     {"offered_per_second", rate(tally.measured().offered)},
                     {"answered_per_second", rate(tally.measured().answered)},
                     {"latency_ms", TimesOf(tally.latency())},
                     {"router_utilisation", Rounded(routers.mean)},
                     {"router_most_utilisation", Rounded(routers.most)},
                     {"connections", simulation.connections()},
                     {"calls", CallsOf(tally)},
                     {"domains", DomainsOf(simulation)},
                     {"course", CourseOf(simulation)},
                     {"left_over", simulation.left_over()},
                     {"events", simulation.events()},
                     {"wall_seconds", Rounded(wall_seconds)}};
  return json.dump(1, ' ');
}

}  // namespace orchard::bench
