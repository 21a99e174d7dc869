#include "bench/fleet/simulation.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

#include "router/total_demand.h"

namespace orchard::bench {
namespace {

/// Out of the name at once, and a preStop hook later health says no, as the chart has it.
constexpr std::chrono::seconds kPreStop{5};
constexpr std::chrono::seconds kAutoscalerLook{1};  // routers judge their demand each second
constexpr std::chrono::seconds kDrainLook{1};
constexpr int kLongestDrain = 3'600;  // looks
constexpr size_t kMostDomains = 4096;
constexpr size_t kMostProcesses = 1'000'000;

absl::Status Fault(const std::string& what, double value, const std::string& allowed) {
  return absl::InvalidArgumentError(absl::StrFormat("%s is %g, must be %s", what, value, allowed));
}

Simulation::Utilisation UtilisationOf(const std::vector<double>& used) {
  if (used.empty()) return {};
  return {.mean = std::accumulate(used.begin(), used.end(), 0.0) / static_cast<double>(used.size()),
          .most = *std::ranges::max_element(used)};
}

}  // namespace

absl::Status CheckPlan(const FleetPlan& plan) {
  if (plan.domains.empty() || plan.domains.size() > kMostDomains) {
    return Fault("the number of domains", static_cast<double>(plan.domains.size()), "1 to 4096");
  }
  double share = 0.0;
  size_t processes = plan.routers.count;
  for (const DomainPlan& domain : plan.domains) {
    if (!(domain.share >= 0.0)) return Fault(domain.name + ": share", domain.share, "0 or more");
    share += domain.share;
    processes += domain.replicas;
  }
  if (share <= 0.0) return Fault("the sum of the shares", share, "above 0");
  if (plan.routers.count == 0 || processes > kMostProcesses) {
    return Fault("the number of processes", static_cast<double>(processes),
                 "1000000 at most, a router at least");
  }
  if (!(plan.arrivals.rate > 0.0)) return Fault("rate", plan.arrivals.rate, "above 0");
  if (!(plan.routers.cores > 0.0)) return Fault("routers.cores", plan.routers.cores, "above 0");
  if (!(plan.pods.cores > 0.0)) return Fault("pods.cores", plan.pods.cores, "above 0");
  for (const ArrivalPlan::Surge& surge : plan.arrivals.surges) {
    if (surge.domain >= plan.domains.size() || !(surge.factor >= 0.0)) {
      return Fault("a surge's factor", surge.factor, "0 or more, of a domain that there is");
    }
  }
  if (plan.fault.on && plan.fault.zones < 2) {
    return Fault("fault.zones", static_cast<double>(plan.fault.zones), "2 or more");
  }
  if (plan.fault.on && plan.pods.host_cores) {
    return absl::InvalidArgumentError("a zone can't fail where all pods share one host");
  }
  return absl::OkStatus();
}

Simulation::Simulation(FleetPlan plan)
    : plan_(std::move(plan)),
      random_(plan_.seed),
      from_(Events::kStart + plan_.warm_up),
      to_(from_ + plan_.measured),
      tally_(from_, to_, plan_.interval),
      listing_(plan_.domains.size()),
      host_(plan_.pods.host_cores ? std::make_unique<Cores>(events_, *plan_.pods.host_cores)
                                  : nullptr),
      pods_(plan_.domains.size()),
      starting_(plan_.domains.size(), 0),
      failed_(plan_.domains.size(), 0),
      rules_(plan_.domains.size(), ReplicaRule(plan_.autoscaler)),
      most_(plan_.domains.size(), 1.0) {
  for (const ArrivalPlan::Surge& surge : plan_.arrivals.surges) {
    most_[surge.domain] = std::max(most_[surge.domain], surge.factor);
  }
  double all = 0.0, with_surges = 0.0;
  for (size_t domain = 0; domain < plan_.domains.size(); ++domain) {
    all += plan_.domains[domain].share;
    with_surges += plan_.domains[domain].share * most_[domain];
    shares_.push_back(with_surges);
    for (size_t i = 0; i < plan_.domains[domain].replicas; ++i) {
      listing_.Add(domain, AddPod(domain, i % Zones()));
    }
  }
  most_rate_ = plan_.arrivals.rate * with_surges / all;
  for (size_t i = 0; i < plan_.routers.count; ++i) {
    routers_.push_back(std::make_unique<RouterModel>(events_, plan_, listing_, random_, tally_,
                                                     i % Zones(), random_.Bits()));
  }
}

Pod* Simulation::AddPod(size_t domain, size_t zone) {
  const size_t number = pods_made_++;
  std::string address =
      absl::StrFormat("10.%d.%d.%d:8011", number >> 16, (number >> 8) & 255, number & 255);
  pods_[domain].push_back(std::make_unique<Pod>(events_, plan_.pods, plan_.domains[domain],
                                                std::move(address), zone, random_, host_.get()));
  return pods_[domain].back().get();
}

void Simulation::Run() {
  for (const auto& router : routers_) router->Begin();
  PlanArrival();
  events_.At(from_, [this] { BeginMeasuring(); });
  events_.At(from_, [this] { TakeSample(); });
  if (plan_.autoscaler.on) {
    events_.In(plan_.autoscaler.period, [this] { Scale(); });
  }
  if (plan_.fault.on) {
    events_.At(from_ + plan_.fault.at, [this] { FailZone(); });
    events_.At(from_ + plan_.fault.at + plan_.fault.unlisted_after, [this] { Unlist(); });
    events_.At(from_ + plan_.fault.at + plan_.fault.replaced_after, [this] { Replace(); });
  }
  events_.RunUntil(to_);
  router_utilisation_ = MeasureRouters();
  domains_ = MeasureDomains();
  for (int look = 0; look < kLongestDrain && Busy(); ++look) {
    events_.RunUntil(events_.now() + kDrainLook);
  }
}

bool Simulation::Busy() const {
  return std::ranges::any_of(routers_, [](const auto& r) { return r->in_progress() > 0; });
}

void Simulation::BeginMeasuring() {
  for (const auto& router : routers_) {
    router->BeginMeasuring();
    connections_ += router->endpoints();
  }
  for (const auto& domain : pods_) {
    for (const auto& pod : domain) pod->BeginMeasuring();
  }
}

void Simulation::PlanArrival() {
  const Clock::duration in = FromSeconds(random_.Exponential(1.0 / most_rate_));
  if (events_.now() + in >= to_) return;
  events_.In(in, [this] {
    Arrive();
    PlanArrival();
  });
}

double Simulation::FactorOf(size_t domain) const {
  for (const ArrivalPlan::Surge& surge : plan_.arrivals.surges) {
    const bool now = events_.now() >= from_ + surge.from && events_.now() < from_ + surge.to;
    if (surge.domain == domain && now) return surge.factor;
  }
  return 1.0;
}

/// Of the largest rate that there ever is, as much as there is now (thinning).
void Simulation::Arrive() {
  const auto draw = [&] {
    const double place = random_.Uniform() * shares_.back();
    const auto found = std::ranges::upper_bound(shares_, place);
    return std::min(static_cast<size_t>(found - shares_.begin()), shares_.size() - 1);
  };
  Picture picture{.sent = events_.now(), .domain = draw(), .second = std::nullopt};
  if (random_.Uniform() * most_[picture.domain] >= FactorOf(picture.domain)) return;
  if (random_.Uniform() < plan_.arrivals.second_expert) picture.second = draw();
  tally_.Offered(picture.sent);
  Target().Send(picture);
}

/// Clients know of a failed router after a while.
RouterModel& Simulation::Target() {
  const bool known = plan_.fault.on && plan_.fault.routers_too &&
                     events_.now() >= from_ + plan_.fault.at + plan_.fault.client_failover;
  while (true) {
    RouterModel& router = *routers_[random_.Below(routers_.size())];
    if (!known || router.alive()) return router;
  }
}

std::vector<double> Simulation::Desired() {
  std::vector<double> desired;
  std::vector<router::Demand> demands;
  for (size_t domain = 0; domain < plan_.domains.size(); ++domain) {
    demands.clear();
    for (const auto& router : routers_) {
      if (router->alive()) demands.push_back(router->ReadDemand(domain));
    }
    desired.push_back(
        router::TotalOf(demands, plan_.routers.demand.target_utilisation).desired_replicas);
  }
  return desired;
}

size_t Simulation::Serving(size_t domain) const {
  return static_cast<size_t>(std::ranges::count_if(
      pods_[domain], [](const auto& pod) { return pod->state() == Pod::State::kServing; }));
}

void Simulation::TakeSample() {
  Sample sample{.seconds = SecondsOf(events_.now()), .serving = {}, .desired = Desired()};
  for (size_t domain = 0; domain < pods_.size(); ++domain)
    sample.serving.push_back(Serving(domain));
  samples_.push_back(std::move(sample));
  if (events_.now() + plan_.interval <= to_) {
    events_.In(plan_.interval, [this] { TakeSample(); });
  }
}

void Simulation::Scale() {
  const std::vector<double> desired = Desired();
  for (size_t domain = 0; domain < desired.size(); ++domain) {
    const size_t current = listing_.Of(domain).pods.size() + starting_[domain] + failed_[domain];
    const size_t wanted = rules_[domain].Decide(desired[domain], current, events_.now());
    if (wanted > current) StartPods(domain, wanted - current);
    if (wanted < current) StopPods(domain, current - wanted);
  }
  if (events_.now() < to_) events_.In(plan_.autoscaler.period, [this] { Scale(); });
}

/// In zones that are there.
void Simulation::StartPods(size_t domain, size_t count) {
  const bool failed = plan_.fault.on && events_.now() >= from_ + plan_.fault.at;
  for (size_t i = 0; i < count; ++i) {
    ++starting_[domain];
    const size_t zone = failed ? 1 + (pods_made_ + i) % (Zones() - 1) : (pods_made_ + i) % Zones();
    events_.In(FromSeconds(plan_.autoscaler.start.Draw(random_)), [this, domain, zone] {
      --starting_[domain];
      listing_.Add(domain, AddPod(domain, zone));
    });
  }
}

/// The newest first.
void Simulation::StopPods(size_t domain, size_t count) {
  for (; count > 0 && !listing_.Of(domain).pods.empty(); --count) {
    Pod* const pod = listing_.Of(domain).pods.back();
    listing_.Remove(domain, pod);
    events_.In(kPreStop, [pod] { pod->Drain(); });
  }
}

/// Zone 0.
void Simulation::FailZone() {
  const Pod::State how =
      plan_.fault.kind == FaultPlan::Kind::kDead ? Pod::State::kDead : Pod::State::kSilent;
  for (const auto& domain : pods_) {
    for (const auto& pod : domain) {
      if (pod->zone() == 0) pod->Fail(how);
    }
  }
  if (!plan_.fault.routers_too) return;
  for (const auto& router : routers_) {
    if (router->zone() == 0) router->Fail();
  }
}

void Simulation::Unlist() {
  for (size_t domain = 0; domain < pods_.size(); ++domain) {
    const std::vector<Pod*> listed = listing_.Of(domain).pods;
    for (Pod* const pod : listed) {
      if (pod->zone() != 0) continue;
      listing_.Remove(domain, pod);
      ++failed_[domain];
    }
  }
}

void Simulation::Replace() {
  for (size_t domain = 0; domain < pods_.size(); ++domain) {
    StartPods(domain, std::exchange(failed_[domain], 0));
  }
}

Simulation::Utilisation Simulation::MeasureRouters() {
  std::vector<double> used;
  const double seconds = SecondsOf(events_.now());
  for (const auto& router : routers_) {
    if (router->alive()) used.push_back(router->used() / (router->cores() * seconds));
  }
  return UtilisationOf(used);
}

std::vector<Simulation::DomainFigures> Simulation::MeasureDomains() {
  const double seconds = SecondsOf(events_.now());
  std::vector<DomainFigures> domains;
  for (const auto& pods : pods_) {
    std::vector<double> used;
    double rows = 0.0, most = 0.0;
    for (const auto& pod : pods) {
      if (pod->state() != Pod::State::kServing || pod->born() >= from_) continue;
      used.push_back(pod->used() / (pod->cores() * seconds));
      rows += static_cast<double>(pod->rows());
      most = std::max(most, static_cast<double>(pod->rows()));
    }
    domains.push_back(
        {.pods = used.size(),
         .utilisation = UtilisationOf(used),
         .max_over_mean = rows > 0.0 ? most * static_cast<double>(used.size()) / rows : 0.0});
  }
  return domains;
}

}  // namespace orchard::bench
