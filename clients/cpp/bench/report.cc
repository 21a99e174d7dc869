#include "clients/cpp/bench/report.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "clients/cpp/display.h"
#include "core/clock.h"
#include "core/printable.h"
#include "core/units.h"
#include "nlohmann/json.hpp"

namespace orchard::client {
namespace {

using Json = nlohmann::ordered_json;
using core::Milliseconds;

double Ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

double Rate(std::uint64_t count, const LoadResult& result) {
  return result.window.count() > 0.0 ? static_cast<double>(count) / result.window.count() : 0.0;
}

double Seconds(std::chrono::milliseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

Json Times(const Histogram& times) {
  return {{"count", times.count()},
          {"mean", Milliseconds(times.mean())},
          {"min", Milliseconds(times.min())},
          {"p50", Milliseconds(times.Quantile(.5))},
          {"p90", Milliseconds(times.Quantile(.9))},
          {"p95", Milliseconds(times.Quantile(.95))},
          {"p99", Milliseconds(times.Quantile(.99))},
          {"p999", Milliseconds(times.Quantile(.999))},
          {"max", Milliseconds(times.max())}};
}

Json Counts(const std::map<std::string, std::uint64_t>& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

Json Stages(const Tally& tally) {
  Json stages = Json::object();
  for (size_t i = 0; i < kStages.size(); ++i) {
    stages[std::string(kStages[i])] = Times(tally.stages[i]);
  }
  return stages;
}

std::string CountsText(const std::map<std::string, std::uint64_t>& counts) {
  return core::Printable(absl::StrJoin(counts, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, " ", entry.second);
  }));
}

void AppendTimes(std::string& text, std::string_view name, const Histogram& times) {
  if (times.count() == 0) return;
  absl::StrAppendFormat(&text, "%s", PadTo(name, 16));
  for (const Histogram::Duration value : {times.mean(), times.Quantile(.5), times.Quantile(.9),
                                          times.Quantile(.99), times.Quantile(.999), times.max()}) {
    absl::StrAppendFormat(&text, "  %9.2f", Milliseconds(value));
  }
  text += '\n';
}

std::string PlanText(const LoadReport& report) {
  const LoadPlan& plan = report.plan;
  const std::string loop =
      plan.rate
          ? absl::StrFormat("open loop, %.6g requests/s (Poisson, seed %d)", *plan.rate, plan.seed)
          : absl::StrFormat("closed loop, %d under way", plan.concurrency);
  return absl::StrFormat("%s, %d %s, %s\nwarm-up %s, measured %.2f s, timeout %s\n\n", loop,
                         report.pictures, report.pictures == 1 ? "picture" : "pictures",
                         core::Printable(absl::StrJoin(report.servers, ", ")),
                         core::FormatDuration(plan.warm_up), report.result.window.count(),
                         core::FormatDuration(plan.timeout));
}

}  // namespace

std::string LoadJson(const LoadReport& report) {
  const LoadPlan& plan = report.plan;
  const LoadResult& result = report.result;
  const Tally& tally = result.tally;
  const Json json = {{"mode", plan.rate ? "open" : "closed"},
                     {"rate", plan.rate ? Json(*plan.rate) : Json(nullptr)},
                     {"seed", plan.rate ? Json(plan.seed) : Json(nullptr)},
                     {"concurrency", plan.rate ? Json(nullptr) : Json(plan.concurrency)},
                     {"servers", report.servers},
                     {"connections", plan.connections},
                     {"max_outstanding", plan.max_outstanding},
                     {"pictures", report.pictures},
                     {"warm_up_seconds", Seconds(plan.warm_up)},
                     {"window_seconds", result.window.count()},
                     {"timeout_seconds", Seconds(plan.timeout)},
                     {"slo_seconds", Seconds(plan.slo)},
                     {"interrupted", result.interrupted},
                     {"warmed_up", result.warmed_up},
                     {"planned", tally.planned},
                     {"sent", tally.sent},
                     {"not_sent", tally.not_sent},
                     {"lost", tally.lost},
                     {"ok", tally.ok},
                     {"failed", tally.failed},
                     {"errors", Counts(tally.errors)},
                     {"reasons", Counts(tally.reasons)},
                     {"planned_per_second", Rate(tally.planned, result)},
                     {"ok_per_second", Rate(tally.ok, result)},
                     {"good", tally.good},
                     {"goodput_per_second", Rate(tally.good, result)},
                     {"good_share", Ratio(tally.good, tally.planned)},
                     {"degraded", tally.degraded},
                     {"degraded_share", Ratio(tally.degraded, tally.ok)},
                     {"outcomes", Counts(tally.outcomes)},
                     {"experts_asked", Ratio(tally.experts_asked, tally.ok)},
                     {"latency_ms", Times(tally.latency)},
                     {"without_decode_ms", Times(tally.without_decode)},
                     {"failed_latency_ms", Times(tally.failed_latency)},
                     {"lag_ms", Times(tally.lag)},
                     {"stages_ms", Stages(tally)}};
  return core::PrintableJson(
      json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace));
}

std::string LoadText(const LoadReport& report) {
  const LoadResult& result = report.result;
  const Tally& tally = result.tally;
  std::string text = PlanText(report);
  if (result.interrupted) text += "interrupted: what was under way is lost\n";
  absl::StrAppendFormat(&text, "planned   %8d  %9.1f/s\n", tally.planned,
                        Rate(tally.planned, result));
  absl::StrAppendFormat(&text, "answered  %8d  %9.1f/s  %s\n", tally.ok, Rate(tally.ok, result),
                        CountsText(tally.outcomes));
  absl::StrAppendFormat(&text, "good      %8d  %9.1f/s  within %s: %.2f %% of what was planned\n",
                        tally.good, Rate(tally.good, result), core::FormatDuration(report.plan.slo),
                        100.0 * Ratio(tally.good, tally.planned));
  absl::StrAppendFormat(&text, "degraded  %8d  %9.2f %% of what was answered\n", tally.degraded,
                        100.0 * Ratio(tally.degraded, tally.ok));
  absl::StrAppendFormat(&text, "failed    %8d", tally.failed);
  if (tally.failed > 0) absl::StrAppend(&text, "  ", CountsText(tally.errors));
  if (!tally.reasons.empty()) absl::StrAppend(&text, "; ", CountsText(tally.reasons));
  absl::StrAppendFormat(&text, "\nnot sent  %8d\nlost      %8d\n", tally.not_sent, tally.lost);
  absl::StrAppendFormat(&text, "\n%-16s  %9s  %9s  %9s  %9s  %9s  %9s\n", "ms", "mean", "p50",
                        "p90", "p99", "p99.9", "max");
  AppendTimes(text, "latency", tally.latency);
  AppendTimes(text, "until a failure", tally.failed_latency);
  AppendTimes(text, "sent late by", tally.lag);
  for (size_t i = 0; i < kStages.size(); ++i) {
    AppendTimes(text, absl::StrCat("server: ", std::string(kStages[i])), tally.stages[i]);
  }
  return text;
}

}  // namespace orchard::client
