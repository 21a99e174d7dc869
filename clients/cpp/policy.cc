#include "clients/cpp/policy.h"

#include "absl/strings/ascii.h"
#include <google/protobuf/descriptor.h>

namespace orchard::client {

std::string PolicyName(v1::Policy policy) { return absl::AsciiStrToLower(v1::Policy_Name(policy)); }

std::optional<v1::Policy> ParsePolicy(std::string_view name) {
  v1::Policy policy = v1::POLICY_UNSPECIFIED;
  const bool known = v1::Policy_Parse(absl::AsciiStrToUpper({name.data(), name.size()}), &policy);
  if (!known || policy == v1::POLICY_UNSPECIFIED) return std::nullopt;
  return policy;
}

std::vector<std::string> PolicyNames() {
  std::vector<std::string> names;
  const google::protobuf::EnumDescriptor& policies = *v1::Policy_descriptor();
  for (int i = 0; i < policies.value_count(); ++i) {
    const auto policy = static_cast<v1::Policy>(policies.value(i)->number());
    if (policy != v1::POLICY_UNSPECIFIED) names.push_back(PolicyName(policy));
  }
  return names;
}

}  // namespace orchard::client
