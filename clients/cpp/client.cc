#include "clients/cpp/client.h"

#include <algorithm>
#include <limits>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <grpcpp/grpcpp.h>

#include "clients/cpp/channel.h"
#include "core/text.h"
#include "rpc/status.h"

namespace orchard::client {
namespace {

using core::Clock;

/// Marks the status of NobodyConnected: a server's own UNAVAILABLE never has it.
constexpr char kNoServerAnswers[] = "orchard.client/no-server-answers";

/// What it takes to start a router anew, or until a name tells of its successor. Who is gone for
/// longer is not waited for: every call would be slow to say so.
constexpr std::chrono::seconds kReplacement{10};

double Chance() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0.0, 1.0)(random);
}

/// The order of attempts of one call, and the times before which servers are not to be asked again.
class Attempts {
 public:
  Attempts(size_t servers, size_t first) : not_before_(servers), first_(first) {}

  size_t server() const { return (first_ + attempt_) % not_before_.size(); }

  /// When the next attempt may begin: at once the first time at a server.
  Clock::time_point begin(Clock::time_point now) const {
    const size_t round = attempt_ / not_before_.size();
    if (round == 0) return now;
    return std::max(now, not_before_[server()]) + Backoff(round, Chance());
  }

  void Next(Clock::time_point not_before) {
    not_before_[server()] = not_before;
    ++attempt_;
  }

 private:
  std::vector<Clock::time_point> not_before_;
  const size_t first_;
  size_t attempt_ = 0;
};

}  // namespace

Client::Client(Options options) : options_(std::move(options)) {
  const auto credentials = rpc::ChannelCredentialsFrom(options_.tls);
  status_ = credentials.status();
  if (!status_.ok()) return;
  for (const std::string& address : options_.servers) {
    auto channel = MakeChannel(address, *credentials);
    auto stub = v1::Classifier::NewStub(channel);
    servers_.push_back({.channel = std::move(channel), .stub = std::move(stub)});
  }
}

Failure Client::Try(const Server& server, const Call& call, Clock::time_point deadline) {
  grpc::ClientContext context;  // One per attempt: gRPC forbids using one twice.
  SetDeadline(context, deadline);
  const grpc::Status status = call(*server.stub, context);
  return {.status = rpc::FromGrpc(status), .pushback = rpc::PushbackOf(context)};
}

absl::Status Client::TryServers(const Call& call) {
  if (!status_.ok()) return status_;
  const Clock::time_point start = Clock::now();
  const Clock::time_point deadline = start + options_.timeout;
  const Clock::time_point replaced_by = std::min(
      start + options_.timeout / 2, answered_.load(std::memory_order_relaxed) + kReplacement);
  const size_t most_gone = std::max<size_t>(2, servers_.size());
  const auto share = options_.timeout / static_cast<std::int64_t>(most_gone + 1);
  Attempts attempts(servers_.size(), preferred_.load(std::memory_order_relaxed));
  absl::Status last = NobodyConnected(options_.servers, options_.tls);
  for (size_t gone = 0; gone < most_gone;) {
    const Clock::time_point begin = attempts.begin(Clock::now());
    if (begin >= deadline) break;
    std::this_thread::sleep_until(begin);
    const size_t index = attempts.server();
    const Clock::time_point patience =
        gone + 1 == most_gone ? deadline : std::min(deadline, begin + share);
    if (!IsConnectedBy(*servers_[index].channel, patience)) {
      if (Clock::now() >= replaced_by) ++gone;
      attempts.Next(Clock::now());
      continue;
    }
    const Failure end = Try(servers_[index], call, deadline);
    last = end.status;
    const bool away = TurnsAway(end.status);
    if (!away) answered_.store(Clock::now(), std::memory_order_relaxed);
    preferred_.store((index + (away ? 1 : 0)) % servers_.size(), std::memory_order_relaxed);
    const Next next = end.status.ok() ? Next::kGiveUp : Judge(end);
    if (next == Next::kGiveUp) break;
    if (next == Next::kElsewhere) ++gone;
    attempts.Next(Clock::now() + end.pushback.value_or(std::chrono::milliseconds(0)));
  }
  return last;
}

absl::StatusOr<v1::ClassifyResponse> Client::Classify(const v1::ClassifyRequest& request) {
  absl::Status status = CheckMessageSize(request.ByteSizeLong());
  v1::ClassifyResponse response;
  if (status.ok()) {
    status = TryServers([&](v1::Classifier::Stub& stub, grpc::ClientContext& context) {
      return stub.Classify(&context, request, &response);
    });
  }
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::ModelDescription> Client::DescribeModel(
    const v1::DescribeModelRequest& request) {
  v1::ModelDescription response;
  const absl::Status status =
      TryServers([&](v1::Classifier::Stub& stub, grpc::ClientContext& context) {
        return stub.DescribeModel(&context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

std::optional<std::uint64_t> MostImageBytes(Client& client) {
  const auto model = client.DescribeModel();
  if (!model.ok() || model->limits().max_image_bytes() == 0) return std::nullopt;
  return model->limits().max_image_bytes();
}

absl::Status CheckMessageSize(size_t bytes) {
  if (bytes <= std::numeric_limits<int>::max()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a request of ", core::HumanBytes(bytes),
                                                 " is over the 2 GiB that one message can hold"));
}

absl::Status NobodyConnected(const std::vector<std::string>& servers, const rpc::TlsFiles& tls) {
  absl::Status status = absl::UnavailableError(absl::StrCat(
      "no server answers ", tls.any() ? "over TLS " : "", "at ", absl::StrJoin(servers, ", ")));
  status.SetPayload(kNoServerAnswers, absl::Cord());
  return status;
}

bool NoServerAnswers(const absl::Status& status) {
  return status.GetPayload(kNoServerAnswers).has_value();
}

}  // namespace orchard::client
