#include "bench/fleet/plan_json.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "bench/fleet/simulation.h"
#include "core/status.h"
#include "nlohmann/json.hpp"

namespace orchard::bench {
namespace {

using Json = nlohmann::ordered_json;

/// Takes the fields of one object; the first fault is kept, and what was not asked for is one.
class Fields {
 public:
  Fields(const Json& object, std::string path, absl::Status& fault)
      : object_(object), path_(std::move(path)), fault_(fault) {
    if (!object_.is_object()) Fail("", "must be an object");
  }
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;
  ~Fields() {
    if (!object_.is_object()) return;
    for (const auto& [name, value] : object_.items()) {
      if (!known_.contains(name)) Fail(name, "is unknown");
    }
  }

  const Json* Find(const std::string& name) {
    known_.insert(name);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  std::string Path(const std::string& name) const { return absl::StrCat(path_, name); }

  void Take(const std::string& name, double& value) {
    const Json* const given = Find(name);
    if (given == nullptr) return;
    if (!given->is_number()) return Fail(name, "must be a number");
    value = given->get<double>();
    if (!std::isfinite(value) || value < 0.0) Fail(name, "must be 0 or more");
  }
  void Take(const std::string& name, size_t& value) {
    const Json* const given = Find(name);
    if (given == nullptr) return;
    if (!given->is_number_unsigned()) return Fail(name, "must be a whole number, 0 or more");
    value = given->get<size_t>();
  }
  void Take(const std::string& name, bool& value) {
    const Json* const given = Find(name);
    if (given == nullptr) return;
    if (!given->is_boolean()) return Fail(name, "must be true or false");
    value = given->get<bool>();
  }
  void Take(const std::string& name, std::string& value) {
    const Json* const given = Find(name);
    if (given == nullptr) return;
    if (!given->is_string()) return Fail(name, "must be a text");
    value = given->get<std::string>();
  }
  /// `name` without its unit; it is given as name_seconds or name_ms.
  void Take(const std::string& name, Clock::duration& value) {
    double seconds = -1.0, ms = -1.0;
    if (Find(name + "_seconds") != nullptr) Take(name + "_seconds", seconds);
    if (Find(name + "_ms") != nullptr) Take(name + "_ms", ms);
    if (seconds >= 0.0) value = FromSeconds(seconds);
    if (ms >= 0.0) value = FromSeconds(ms / 1e3);
  }
  void Take(const std::string& name, Times& value);

  void Fail(const std::string& name, const std::string& what) {
    fault_.Update(absl::InvalidArgumentError(absl::StrCat(path_, name, " ", what)));
  }
  absl::Status& fault() { return fault_; }

 private:
  const Json& object_;
  const std::string path_;
  absl::Status& fault_;
  std::set<std::string> known_;
};

absl::StatusOr<Times> QuantilesOf(const Json& object) {
  std::vector<Times::Quantile> quantiles;
  if (!object.is_object()) return absl::InvalidArgumentError("must be an object of quantiles");
  for (const auto& [share, ms] : object.items()) {
    Times::Quantile& quantile = quantiles.emplace_back();
    if (!absl::SimpleAtod(share, &quantile.share) || !ms.is_number()) {
      return absl::InvalidArgumentError(absl::StrCat("has \"", share, "\", which is no quantile"));
    }
    quantile.seconds = ms.get<double>() / 1e3;
  }
  std::ranges::sort(quantiles, {}, &Times::Quantile::share);
  return Times::Measured(std::move(quantiles));
}

void Fields::Take(const std::string& name, Times& value) {
  const Json* const given = Find(name);
  if (given == nullptr) return;
  if (given->is_number() && given->get<double>() >= 0.0) {
    value = Times::Constant(given->get<double>() / 1e3);
    return;
  }
  if (!given->is_object() || given->size() != 1) {
    return Fail(name, "must be milliseconds, {\"exponential_ms\": …} or {\"quantiles_ms\": {…}}");
  }
  const std::string& kind = given->begin().key();
  const Json& what = given->begin().value();
  if (kind == "exponential_ms" && what.is_number() && what.get<double>() >= 0.0) {
    value = Times::Exponential(what.get<double>() / 1e3);
    return;
  }
  if (kind != "quantiles_ms") return Fail(name, "has neither exponential_ms nor quantiles_ms");
  absl::StatusOr<Times> measured = QuantilesOf(what);
  if (!measured.ok()) return Fail(name, std::string(measured.status().message()));
  value = *std::move(measured);
}

void TakeRouters(Fields& fields, RouterPlan& plan) {
  fields.Take("count", plan.count);
  fields.Take("cores", plan.cores);
  fields.Take("decode_workers", plan.decode_workers);
  fields.Take("encode_workers", plan.encode_workers);
  fields.Take("max_batch", plan.max_batch);
  fields.Take("in_flight", plan.in_flight);
  plan.expert_in_flight = std::max<size_t>(1, plan.in_flight / 4);
  fields.Take("expert_in_flight", plan.expert_in_flight);
  fields.Take("picture_bytes", plan.picture_bytes);
  fields.Take("receive", plan.receive);
  fields.Take("decode", plan.decode);
  fields.Take("encode", plan.encode);
  fields.Take("encode_fixed", plan.encode_fixed);
  fields.Take("combine", plan.combine);
  fields.Take("expert_timeout", plan.expert_timeout);
  fields.Take("subset", plan.subset);
  fields.Take("dns_interval", plan.dns_interval);
  fields.Take("hedge", plan.hedge);
  fields.Take("demand_window", plan.demand.window);
  fields.Take("target_utilisation", plan.demand.target_utilisation);
}

void TakePods(Fields& fields, PodPlan& plan) {
  fields.Take("cores", plan.cores);
  fields.Take("workers", plan.workers);
  fields.Take("max_batch", plan.max_batch);
  fields.Take("max_waiting", plan.max_waiting);
  fields.Take("max_waiting_rows", plan.max_waiting_rows);
  fields.Take("call", plan.call);
  fields.Take("hop", plan.hop);
  double host = 0.0;
  fields.Take("host_cores", host);
  if (host > 0.0) plan.host_cores = host;
}

void TakeDomains(Fields& fields, std::vector<DomainPlan>& domains) {
  const Json* const given = fields.Find("domains");
  if (given == nullptr || !given->is_object()) {
    return fields.Fail("domains", "must be an object, a domain each");
  }
  for (const auto& [name, value] : given->items()) {
    DomainPlan& domain = domains.emplace_back();
    domain.name = name;
    Fields own(value, absl::StrCat("domains.", name, "."), fields.fault());
    own.Take("share", domain.share);
    own.Take("row", domain.row);
    own.Take("row_fixed", domain.row_fixed);
    own.Take("replicas", domain.replicas);
  }
}

void TakeSurge(Fields& fields, const std::vector<DomainPlan>& domains,
               std::vector<ArrivalPlan::Surge>& surges) {
  std::string name;
  ArrivalPlan::Surge surge{.domain = 0, .from = {}, .to = {}, .factor = 1.0};
  fields.Take("domain", name);
  fields.Take("from", surge.from);
  fields.Take("to", surge.to);
  fields.Take("factor", surge.factor);
  const auto found = std::ranges::find(domains, name, &DomainPlan::name);
  if (found == domains.end()) return fields.Fail("domain", "is none of the domains");
  surge.domain = static_cast<size_t>(found - domains.begin());
  surges.push_back(surge);
}

void TakeArrivals(Fields& fields, const std::vector<DomainPlan>& domains, ArrivalPlan& plan) {
  fields.Take("rate", plan.rate);
  fields.Take("deadline", plan.deadline);
  fields.Take("second_expert", plan.second_expert);
  fields.Take("hop", plan.hop);
  const Json* const surges = fields.Find("surges");
  if (surges == nullptr) return;
  if (!surges->is_array()) return fields.Fail("surges", "must be a list");
  for (const Json& value : *surges) {
    Fields surge(value, fields.Path("surges."), fields.fault());
    TakeSurge(surge, domains, plan.surges);
  }
}

void TakeAutoscaler(Fields& fields, AutoscalerPlan& plan) {
  plan.on = true;
  fields.Take("period", plan.period);
  fields.Take("scale_down", plan.scale_down);
  fields.Take("tolerance", plan.tolerance);
  fields.Take("least", plan.least);
  fields.Take("most", plan.most);
  fields.Take("start", plan.start);
}

void TakeFault(Fields& fields, FaultPlan& plan) {
  plan.on = true;
  std::string kind = "silent";
  fields.Take("kind", kind);
  if (kind != "silent" && kind != "dead") fields.Fail("kind", "must be silent or dead");
  plan.kind = kind == "dead" ? FaultPlan::Kind::kDead : FaultPlan::Kind::kSilent;
  fields.Take("zones", plan.zones);
  fields.Take("at", plan.at);
  fields.Take("routers_too", plan.routers_too);
  fields.Take("client_failover", plan.client_failover);
  fields.Take("unlisted_after", plan.unlisted_after);
  fields.Take("replaced_after", plan.replaced_after);
}

/// A part of the plan that need not be there.
template <typename Take>
void Part(Fields& fields, const std::string& name, Take take) {
  const Json* const given = fields.Find(name);
  if (given == nullptr) return;
  Fields part(*given, name + ".", fields.fault());
  take(part);
}

void TakePlan(Fields& fields, FleetPlan& plan) {
  size_t seed = plan.seed;
  fields.Take("seed", seed);
  plan.seed = seed;
  fields.Take("warm_up", plan.warm_up);
  fields.Take("measured", plan.measured);
  fields.Take("interval", plan.interval);
  std::string note;
  fields.Take("note", note);  // For people.
  TakeDomains(fields, plan.domains);
  Part(fields, "arrivals", [&](Fields& part) { TakeArrivals(part, plan.domains, plan.arrivals); });
  Part(fields, "routers", [&](Fields& part) { TakeRouters(part, plan.routers); });
  Part(fields, "pods", [&](Fields& part) { TakePods(part, plan.pods); });
  Part(fields, "autoscaler", [&](Fields& part) { TakeAutoscaler(part, plan.autoscaler); });
  Part(fields, "fault", [&](Fields& part) { TakeFault(part, plan.fault); });
}

}  // namespace

absl::StatusOr<FleetPlan> ParsePlan(std::string_view json) {
  const Json object = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) return absl::InvalidArgumentError("the plan is not JSON");
  FleetPlan plan;
  absl::Status fault;
  {
    Fields fields(object, "", fault);
    TakePlan(fields, plan);
  }
  ORCHARD_RETURN_IF_ERROR(fault);
  ORCHARD_RETURN_IF_ERROR(CheckPlan(plan));
  return plan;
}

}  // namespace orchard::bench
