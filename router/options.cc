#include "router/options.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/text.h"

namespace orchard::router {
namespace {

constexpr std::array<std::pair<v1::Policy, moe::PolicyKind>, 7> kPolicies = {{
    {v1::EXACT, moe::PolicyKind::kExact},
    {v1::HARD, moe::PolicyKind::kHard},
    {v1::TOP_K, moe::PolicyKind::kTopK},
    {v1::THRESHOLD, moe::PolicyKind::kThreshold},
    {v1::NUCLEUS, moe::PolicyKind::kNucleus},
    {v1::DENSE, moe::PolicyKind::kDense},
    {v1::PINNED, moe::PolicyKind::kPinned},
}};

constexpr size_t kShownBytes = 64;

std::string PolicyNumbers() {
  return absl::StrJoin(kPolicies, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, static_cast<int>(entry.first), " ", v1::Policy_Name(entry.first));
  });
}

/// Without a value when it is not one of the seven.
std::optional<moe::PolicyKind> KindOf(const v1::ClassifyOptions& options,
                                      moe::PolicyKind default_policy,
                                      std::vector<std::string>& faults) {
  if (options.policy() == v1::POLICY_UNSPECIFIED) {
    return options.domain().empty() ? default_policy : moe::PolicyKind::kPinned;
  }
  for (const auto& [wire, kind] : kPolicies) {
    if (wire == options.policy()) return kind;
  }
  faults.push_back(absl::StrCat("policy is ", static_cast<int>(options.policy()),
                                ", must be one of ", PolicyNumbers()));
  return std::nullopt;
}

/// The index of the pinned domain, when one is named and known.
std::optional<size_t> PinOf(const v1::ClassifyOptions& options, const Catalogue& catalogue,
                            std::optional<moe::PolicyKind> kind, std::vector<std::string>& faults) {
  const auto known = [&catalogue] { return absl::StrJoin(catalogue.domains, ", "); };
  if (options.domain().empty()) {
    if (kind == moe::PolicyKind::kPinned) {
      faults.push_back(absl::StrCat("domain is missing, PINNED needs one of ", known()));
    }
    return std::nullopt;
  }
  const auto found = std::ranges::find(catalogue.domains, options.domain());
  if (found != catalogue.domains.end()) {
    return static_cast<size_t>(found - catalogue.domains.begin());
  }
  // A caller's text goes into a message: not more of it than a name can have.
  const std::string shown(core::CutAtCharacter(options.domain(), kShownBytes));
  faults.push_back(absl::StrCat("domain is \"", shown, "\", must be one of ", known()));
  return std::nullopt;
}

size_t TopOf(const v1::ClassifyOptions& options, const Catalogue& catalogue,
             std::vector<std::string>& faults) {
  const size_t most = catalogue.TotalClasses();
  if (!options.has_top()) return std::min(kDefaultTop, most);
  if (options.top() < 1 || options.top() > most) {
    faults.push_back(
        absl::StrCat("top is ", options.top(), ", must be 1 to ", most, ", the number of classes"));
  }
  return options.top();
}

template <typename T>
std::optional<T> Given(bool given, T value) {
  return given ? std::optional<T>(value) : std::nullopt;
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const v1::ClassifyOptions& options, const Catalogue& catalogue,
                                     moe::PolicyKind default_policy) {
  std::vector<std::string> faults;
  const std::optional<moe::PolicyKind> kind = KindOf(options, default_policy, faults);
  const std::optional<size_t> pin = PinOf(options, catalogue, kind, faults);
  Options valid;
  valid.top = TopOf(options, catalogue, faults);
  const bool pin_is_settled = kind != moe::PolicyKind::kPinned || pin.has_value();
  if (kind.has_value() && pin_is_settled) {
    absl::StatusOr<moe::Policy> policy =
        moe::MakePolicy(*kind, Given<size_t>(options.has_k(), options.k()),
                        Given(options.has_tau(), options.tau()), pin, catalogue.taxonomy.domains());
    if (policy.ok()) {
      valid.policy = *policy;
    } else {
      faults.emplace_back(policy.status().message());
    }
  }
  if (faults.empty()) return valid;
  return absl::InvalidArgumentError(absl::StrCat("options: ", absl::StrJoin(faults, "; ")));
}

v1::Policy ToWire(moe::PolicyKind kind) {
  for (const auto& [wire, known] : kPolicies) {
    if (known == kind) return wire;
  }
  return v1::POLICY_UNSPECIFIED;
}

}  // namespace orchard::router
