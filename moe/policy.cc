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

/// What is chosen so far, the most probable domains, when the next one is looked at.
struct Choice {
  size_t count = 0;          ///< at least 1: the most probable one is always taken
  double mass = 0.0;         ///< their probability together
  double probability = 0.0;  ///< of the next one
};

/// Whether a policy takes the next one, too.
using Takes = bool (*)(const Policy&, const Choice&);

bool TakesAll(const Policy&, const Choice&) { return true; }

bool TakesOne(const Policy&, const Choice&) { return false; }

bool TakesK(const Policy& policy, const Choice& choice) { return choice.count < policy.k; }

bool TakesProbable(const Policy& policy, const Choice& choice) {
  return choice.probability + kSlack >= policy.tau;
}

/// Until tau of the mass is chosen.
bool TakesNucleus(const Policy& policy, const Choice& choice) {
  return choice.mass + kSlack < policy.tau;
}

/// All there is to know of a policy; a new one is a line of kPolicies.
struct Row {
  PolicyKind kind;
  std::string_view name;
  Takes takes;
  bool takes_k;
  double default_tau;  ///< 0: takes none
  bool tau_may_be_one;
};

constexpr std::array kPolicies = {
    Row{PolicyKind::kExact, "exact", TakesAll, false, 0.0, false},
    Row{PolicyKind::kHard, "hard", TakesOne, false, 0.0, false},
    Row{PolicyKind::kTopK, "top_k", TakesK, true, 0.0, false},
    Row{PolicyKind::kThreshold, "threshold", TakesProbable, false, kDefaultThresholdTau, false},
    Row{PolicyKind::kNucleus, "nucleus", TakesNucleus, false, kDefaultNucleusTau, true},
    Row{PolicyKind::kDense, "dense", TakesAll, false, 0.0, false},
    Row{PolicyKind::kPinned, "pinned", TakesOne, false, 0.0, false},
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

void Wanted(const Policy& policy, std::span<const double> log_domain, std::vector<size_t>& wanted) {
  if (policy.kind == PolicyKind::kPinned) return wanted.assign(1, policy.pinned);
  wanted.resize(log_domain.size());
  std::iota(wanted.begin(), wanted.end(), size_t{0});
  if (policy.kind == PolicyKind::kDense) return;
  // A heap puts no more in order than is taken: of 200 domains mostly a few.
  const auto comes_later = [&](size_t a, size_t b) {
    return log_domain[a] < log_domain[b] || (log_domain[a] == log_domain[b] && a > b);
  };
  std::ranges::make_heap(wanted, comes_later);
  auto rest = wanted.end();  // What is taken moves behind it, the first one last.
  Choice choice;
  do {
    choice.mass += std::exp(log_domain[wanted.front()]);
    ++choice.count;
    std::ranges::pop_heap(wanted.begin(), rest--, comes_later);
    choice.probability = std::exp(log_domain[wanted.front()]);
  } while (rest != wanted.begin() && Of(policy.kind).takes(policy, choice));
  std::ranges::reverse(wanted);
  wanted.resize(choice.count);
}

}  // namespace orchard::moe
