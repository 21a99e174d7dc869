#include "router/external_scaler.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/text.h"
#include "router/peer_watch.h"
#include "rpc/status.h"

namespace orchard::router {

using core::Clock;
using externalscaler::ScaledObjectRef;

namespace {

constexpr char kDomainKey[] = "domain";
constexpr char kModelKey[] = "model";
constexpr size_t kShownBytes = 64;

/// What a caller wrote, as far as a name goes.
std::string Shown(const std::string& text) {
  return std::string(core::CutAtCharacter(text, kShownBytes));
}

grpc::Status ToGrpc(const absl::Status& error) {
  return rpc::ToGrpc(rpc::WithErrorInfo(error, rpc::ReasonOf(error.code())));
}

std::string Value(const ScaledObjectRef& request, const char* key) {
  const auto found = request.scalermetadata().find(key);
  return found == request.scalermetadata().end() ? "" : found->second;
}

}  // namespace

ExternalScaler::ExternalScaler(DemandBoard& board, PeerWatch* peers, Options options)
    : board_(board),
      peers_(peers),
      options_(options),
      streams_(options.max_streams),
      subscription_(board.Subscribe([this](const DemandBoard::News&) { Told(); })) {}

ExternalScaler::~ExternalScaler() { board_.Unsubscribe(subscription_); }

absl::StatusOr<size_t> ExternalScaler::DomainOf(const ScaledObjectRef& request) const {
  const std::string model = Value(request, kModelKey);
  const std::string domain = Value(request, kDomainKey);
  const auto served = [this] { return absl::StrJoin(board_.domains(), ", "); };
  if (!model.empty() && model != board_.model()) {
    return absl::NotFoundError(absl::StrCat("scalerMetadata: the model served here is \"",
                                            board_.model(), "\", not \"", Shown(model), "\""));
  }
  if (domain.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("scalerMetadata: `domain` is missing, must be one of ", served()));
  }
  const auto known = std::ranges::find(board_.domains(), domain);
  if (known == board_.domains().end()) {
    return absl::NotFoundError(absl::StrCat("scalerMetadata: the model has no domain \"",
                                            Shown(domain), "\", it has ", served()));
  }
  if (!board_.scalable()) {
    return absl::FailedPreconditionError(
        "the experts run in this router, which was given no --expert: there is nothing to scale");
  }
  return static_cast<size_t>(known - board_.domains().begin());
}

bool ExternalScaler::Heard() const { return peers_ == nullptr || peers_->Heard(); }

/// `answer` runs once: now, or on the board's thread.
void ExternalScaler::AnswerWhenHeard(size_t domain, std::function<void(const Demand&)> answer) {
  if (peers_ != nullptr) peers_->Asked();
  bool waits = false;
  const Clock::time_point until = Clock::now() + options_.patience;
  if (!Heard()) {
    core::MutexLock lock(mutex_);
    waits = !draining_ && waiting_.size() < options_.max_waiting;
    if (waits) waiting_.push_back({.domain = domain, .until = until, .answer = answer});
  }
  if (waits) return board_.WakeAt(until);
  answer(board_.Totals()[domain]);
}

grpc::ServerUnaryReactor* ExternalScaler::IsActive(grpc::CallbackServerContext* context,
                                                   const ScaledObjectRef* request,
                                                   Active* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::StatusOr<size_t> domain = DomainOf(*request);
  if (!domain.ok()) {
    reactor->Finish(ToGrpc(domain.status()));
    return reactor;
  }
  AnswerWhenHeard(*domain, [reactor, response](const Demand& total) {
    response->set_result(total.active);
    reactor->Finish(grpc::Status::OK);  // Last: the call's objects may be gone after it.
  });
  return reactor;
}

grpc::ServerUnaryReactor* ExternalScaler::GetMetricSpec(
    grpc::CallbackServerContext* context, const ScaledObjectRef* request,
    externalscaler::GetMetricSpecResponse* response) {
  const absl::StatusOr<size_t> domain = DomainOf(*request);
  if (domain.ok()) {
    externalscaler::MetricSpec& spec = *response->add_metricspecs();
    spec.set_metricname(kMetric);
    spec.set_targetsize(1);
    spec.set_targetsizefloat(1.0);
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(domain.status()));
  return reactor;
}

grpc::ServerUnaryReactor* ExternalScaler::GetMetrics(
    grpc::CallbackServerContext* context, const externalscaler::GetMetricsRequest* request,
    externalscaler::GetMetricsResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  absl::StatusOr<size_t> domain = DomainOf(request->scaledobjectref());
  if (domain.ok() && request->metricname() != kMetric) {
    domain = absl::NotFoundError(
        absl::StrCat("there is no metric \"", Shown(request->metricname()), "\", only ", kMetric));
  }
  if (!domain.ok()) {
    reactor->Finish(ToGrpc(domain.status()));
    return reactor;
  }
  AnswerWhenHeard(*domain, [reactor, response](const Demand& total) {
    externalscaler::MetricValue& value = *response->add_metricvalues();
    value.set_metricname(kMetric);
    value.set_metricvalue(static_cast<std::int64_t>(std::ceil(total.desired_replicas)));
    value.set_metricvaluefloat(total.desired_replicas);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerWriteReactor<externalscaler::IsActiveResponse>* ExternalScaler::StreamIsActive(
    grpc::CallbackServerContext* /*context*/, const ScaledObjectRef* request) {
  const absl::StatusOr<size_t> domain = DomainOf(*request);
  if (!domain.ok()) return new rpc::RefusedStream<Active>(ToGrpc(domain.status()));
  auto* const stream = streams_.Open(*domain, Clock::now());
  if (stream == nullptr) {
    return new rpc::RefusedStream<Active>(ToGrpc(absl::ResourceExhaustedError(
        absl::StrCat(streams_.limit(), " streams are open already, which is the limit"))));
  }
  if (peers_ != nullptr) peers_->Asked();
  board_.Wake();  // Its first word comes from there, as all others do.
  return stream;
}

void ExternalScaler::EndStreams() {
  std::list<Waiting> waiting;
  {
    core::MutexLock lock(mutex_);
    draining_ = true;
    waiting.swap(waiting_);
  }
  streams_.End(grpc::Status::OK);  // KEDA comes again soon, and finds another router.
  if (waiting.empty()) return;
  const std::vector<Demand> total = board_.Totals();
  for (const Waiting& call : waiting) call.answer(total[call.domain]);
}

/// On the board's thread.
void ExternalScaler::Told() {
  const Clock::time_point now = Clock::now();
  const bool heard = Heard();  // Before the sum: then it holds the word of all who were heard.
  std::list<Waiting> due;
  {
    core::MutexLock lock(mutex_);
    for (auto call = waiting_.begin(); call != waiting_.end();) {
      const auto next = std::next(call);
      if (heard || now >= call->until) due.splice(due.end(), waiting_, call);
      call = next;
    }
  }
  const bool streaming = streams_.size() > 0;
  if (due.empty() && !streaming) return;
  const std::vector<Demand> total = board_.Totals();
  for (const Waiting& call : due) call.answer(total[call.domain]);
  if (!streaming) return;
  if (peers_ != nullptr) peers_->Asked();
  // That nobody wants it is known when all were asked; that somebody does, at once.
  streams_.Tell([&](size_t domain, const std::optional<Active>& told) -> std::optional<Active> {
    const bool active = total[domain].active;
    if (!active && !heard) return std::nullopt;
    if (told && told->result() == active) return std::nullopt;
    Active response;
    response.set_result(active);
    return response;
  });
  if (options_.stream_age > Clock::duration::zero()) {
    streams_.EndOlder(now - options_.stream_age);
  }
}

}  // namespace orchard::router
