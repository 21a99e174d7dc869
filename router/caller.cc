#include "router/caller.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include <grpcpp/security/auth_context.h>

#include "core/text.h"

namespace orchard::router {
namespace {

constexpr size_t kMaxWord = 64;  // bytes of an unknown word that are said back

}  // namespace

std::string CallerOf(const grpc::CallbackServerContext& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) {
    const std::vector<grpc::string_ref> names = auth->GetPeerIdentity();
    if (!names.empty()) return absl::StrCat("name:", std::string(names[0].data(), names[0].size()));
  }
  return std::string(WithoutPort(context.peer()));
}

std::string_view WithoutPort(std::string_view peer) {
  const bool internet = peer.starts_with("ipv4:") || peer.starts_with("ipv6:");
  const size_t colon = peer.rfind(':');
  const size_t bracket = peer.rfind(']');  // Of an IPv6 address; gRPC may write it as %5D.
  const size_t escaped = peer.rfind("%5D");
  if (!internet || colon == std::string_view::npos) return peer;
  const bool has_port = peer.starts_with("ipv4:") ? colon > 4
                        : bracket != std::string_view::npos
                            ? colon > bracket
                            : escaped != std::string_view::npos && colon > escaped;
  return has_port ? peer.substr(0, colon) : peer;
}

absl::StatusOr<Priority> ParsePriority(std::string_view word) {
  if (word == "interactive") return Priority::kInteractive;
  if (word == "batch") return Priority::kBatch;
  return absl::InvalidArgumentError(absl::StrCat(kPriorityKey, " is \"",
                                                 std::string(core::CutAtCharacter(word, kMaxWord)),
                                                 "\"; there are interactive and batch"));
}

absl::StatusOr<Priority> PriorityOf(const grpc::CallbackServerContext& context) {
  const auto given = context.client_metadata().find(kPriorityKey);
  if (given == context.client_metadata().end()) return Priority::kInteractive;
  return ParsePriority({given->second.data(), given->second.size()});
}

}  // namespace orchard::router
