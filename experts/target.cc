#include "experts/target.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "core/status.h"

namespace orchard::experts {
namespace {

constexpr std::string_view kDns = "dns:///";

}  // namespace

std::string Target::ToString() const {
  return dns ? std::string(kDns) + address.ToString() : address.ToString();
}

absl::StatusOr<Target> ParseTarget(std::string_view text) {
  Target target;
  target.dns = text.starts_with(kDns);
  const std::string address(target.dns ? text.substr(kDns.size()) : text);
  if (address.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(text), "\" is not HOST:PORT or dns:///NAME:PORT"));
  }
  ORCHARD_ASSIGN_OR_RETURN(target.address, server::ParseAddress(address));
  if (target.address.port != 0) return target;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", std::string(text), "\": nobody listens on port 0; 1 to 65535 are allowed"));
}

absl::StatusOr<std::vector<Target>> ParseTargets(std::string_view text) {
  std::vector<Target> targets;
  const std::vector<std::string> texts =
      absl::StrSplit(std::string(text), ',', absl::SkipWhitespace());
  for (const std::string& one : texts) {
    ORCHARD_ASSIGN_OR_RETURN(Target target, ParseTarget(one));
    targets.push_back(std::move(target));
  }
  if (targets.empty()) return absl::InvalidArgumentError("names no address");
  return targets;
}

}  // namespace orchard::experts
