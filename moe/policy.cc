#include "moe/policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace orchard::moe {
namespace {

/// Against the rounding of sums and of exp(log p): 0.42 + 0.24 is a little less than 0.66.
constexpr double kSlack = 1e-6;

/// How many of the domains, which come in descending probability, a policy wants.
using Count = size_t (*)(const Policy&, std::span<const double> log_domain,
                         std::span<const size_t> order);

size_t CountAll(const Policy&, std::span<const double>, std::span<const size_t> order) {
  return order.size();
}

size_t CountOne(const Policy&, std::span<const double>, std::span<const size_t>) { return 1; }

size_t CountK(const Policy& policy, std::span<const double>, std::span<const size_t> order) {
  return std::min(policy.k, order.size());
}

/// At least the most probable one, so that an answer is never empty.
size_t CountProbable(const Policy& policy, std::span<const double> log_domain,
                     std::span<const size_t> order) {
  size_t count = 1;
  while (count < order.size() && std::exp(log_domain[order[count]]) + kSlack >= policy.tau) ++count;
  return count;
}

/// The shortest prefix that holds tau of the mass.
size_t CountNucleus(const Policy& policy, std::span<const double> log_domain,
                    std::span<const size_t> order) {
  double sum = 0.0;
  size_t count = 0;
  while (count < order.size()) {
    sum += std::exp(log_domain[order[count]]);
    ++count;
    if (sum + kSlack >= policy.tau) break;
  }
  return count;
}

/// All there is to know of a policy; a new one is a line of kPolicies.
struct Row {
  PolicyKind kind;
  std::string_view name;
  Count count;
  bool takes_k;
  double default_tau;  ///< 0: takes none
  bool tau_may_be_one;
};

constexpr std::array kPolicies = {
    Row{PolicyKind::kExact, "exact", CountAll, false, 0.0, false},
    Row{PolicyKind::kHard, "hard", CountOne, false, 0.0, false},
    Row{PolicyKind::kTopK, "top_k", CountK, true, 0.0, false},
    Row{PolicyKind::kThreshold, "threshold", CountProbable, false, kDefaultThresholdTau, false},
    Row{PolicyKind::kNucleus, "nucleus", CountNucleus, false, kDefaultNucleusTau, true},
    Row{PolicyKind::kDense, "dense", CountAll, false, 0.0, false},
    Row{PolicyKind::kPinned, "pinned", CountOne, false, 0.0, false},
};

constexpr auto kKinds = [] {
  std::array<PolicyKind, kPolicies.size()> kinds{};
  for (size_t i = 0; i < kinds.size(); ++i) kinds[i] = kPolicies[i].kind;
  return kinds;
}();

const Row& Of(PolicyKind kind) { return kPolicies[static_cast<size_t>(kind)]; }

// `Of` finds a row by its place.
static_assert([] {
  for (size_t i = 0; i < kPolicies.size(); ++i) {
    if (kPolicies[i].kind != static_cast<PolicyKind>(i)) return false;
  }
  return true;
}());

absl::Status Refuse(std::string_view policy, std::string_view option, std::string_view takers) {
  return absl::InvalidArgumentError(absl::StrCat("policy ", std::string(policy), " takes no ",
                                                 std::string(option), ": only ",
                                                 std::string(takers), " does; leave it out"));
}

absl::StatusOr<size_t> CheckK(const Row& row, std::optional<size_t> k, size_t domains) {
  if (!row.takes_k) {
    if (k) return Refuse(row.name, "k", "top_k");
    return kDefaultK;
  }
  if (!k) return std::min(kDefaultK, domains);
  if (*k >= 1 && *k <= domains) return *k;
  return absl::InvalidArgumentError(absl::StrCat("k = ", *k, " is out of range: policy ",
                                                 std::string(row.name), " takes 1 to ", domains,
                                                 ", the number of domains"));
}

absl::StatusOr<double> CheckTau(const Row& row, std::optional<double> tau) {
  if (row.default_tau == 0.0) {
    if (tau) return Refuse(row.name, "tau", "threshold or nucleus");
    return Policy{}.tau;
  }
  if (!tau) return row.default_tau;
  if (*tau > 0.0 && (*tau < 1.0 || (*tau == 1.0 && row.tau_may_be_one))) return *tau;
  return absl::InvalidArgumentError(absl::StrFormat("tau = %g is out of range: policy %s takes %s",
                                                    *tau, std::string(row.name),
                                                    row.tau_may_be_one ? "(0, 1]" : "(0, 1)"));
}

absl::StatusOr<size_t> CheckPin(const Row& row, std::optional<size_t> pinned, size_t domains) {
  if (row.kind != PolicyKind::kPinned) {
    if (pinned) return Refuse(row.name, "pinned domain", "pinned");
    return size_t{0};
  }
  if (!pinned) return absl::InvalidArgumentError("policy pinned needs a domain: name one");
  if (*pinned < domains) return *pinned;
  return absl::InvalidArgumentError(absl::StrCat(
      "pinned domain ", *pinned, " is out of range: the model has domains 0 to ", domains - 1));
}

}  // namespace

std::span<const PolicyKind> AllPolicies() { return kKinds; }

std::string_view Name(PolicyKind kind) { return Of(kind).name; }

absl::StatusOr<PolicyKind> ParsePolicy(std::string_view name) {
  for (const Row& row : kPolicies) {
    if (row.name == name) return row.kind;
  }
  const std::string names = absl::StrJoin(kPolicies, ", ", [](std::string* out, const Row& row) {
    absl::StrAppend(out, std::string(row.name));
  });
  return absl::InvalidArgumentError(
      absl::StrCat("unknown policy '", std::string(name), "': use one of ", names));
}

absl::StatusOr<Policy> MakePolicy(PolicyKind kind, std::optional<size_t> k,
                                  std::optional<double> tau, std::optional<size_t> pinned,
                                  size_t domains) {
  if (domains == 0) return absl::InvalidArgumentError("a policy needs at least one domain");
  const Row& row = Of(kind);
  const absl::StatusOr<size_t> valid_k = CheckK(row, k, domains);
  const absl::StatusOr<double> valid_tau = CheckTau(row, tau);
  const absl::StatusOr<size_t> valid_pin = CheckPin(row, pinned, domains);
  std::vector<std::string> faults;
  for (const absl::Status& status : {valid_k.status(), valid_tau.status(), valid_pin.status()}) {
    if (!status.ok()) faults.emplace_back(status.message());
  }
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  return Policy{.kind = kind, .k = *valid_k, .tau = *valid_tau, .pinned = *valid_pin};
}

std::vector<size_t> ByProbability(std::span<const double> log_domain) {
  std::vector<size_t> order(log_domain.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return log_domain[a] > log_domain[b] || (log_domain[a] == log_domain[b] && a < b);
  });
  return order;
}

std::vector<size_t> Wanted(const Policy& policy, std::span<const double> log_domain) {
  if (policy.kind == PolicyKind::kPinned) return {policy.pinned};
  std::vector<size_t> order = ByProbability(log_domain);
  order.resize(Of(policy.kind).count(policy, log_domain, order));
  return order;
}

}  // namespace orchard::moe
