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

ExternalScaler::ExternalScaler(std::vector<Model> models, Options options)
    : models_(std::move(models)), options_(options), streams_(options.max_streams) {
  for (size_t model = 0; model < models_.size(); ++model) {
    subscriptions_.push_back(
        models_[model].board->Subscribe([this, model](const DemandBoard::News&) { Told(model); }));
  }
}

ExternalScaler::~ExternalScaler() {
  for (size_t model = 0; model < models_.size(); ++model) {
    models_[model].board->Unsubscribe(subscriptions_[model]);
  }
}

absl::StatusOr<ExternalScaler::Place> ExternalScaler::PlaceOf(
    const ScaledObjectRef& request) const {
  const std::string name = Value(request, kModelKey);
  const std::string domain = Value(request, kDomainKey);
  const auto named =
      name.empty() ? models_.begin() : std::ranges::find(models_, name, [](const Model& model) {
        return model.board->model();
      });
  if (named == models_.end()) {
    std::vector<std::string> names;
    for (const Model& model : models_) names.push_back(model.board->model());
    return absl::NotFoundError(absl::StrCat("scalerMetadata: no model is called \"", Shown(name),
                                            "\"; served here: ", absl::StrJoin(names, ", ")));
  }
  const DemandBoard& board = *named->board;
  const auto served = [&board] { return absl::StrJoin(board.domains(), ", "); };
  if (domain.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("scalerMetadata: `domain` is missing, must be one of ", served()));
  }
  const auto known = std::ranges::find(board.domains(), domain);
  if (known == board.domains().end()) {
    return absl::NotFoundError(absl::StrCat("scalerMetadata: the model has no domain \"",
                                            Shown(domain), "\", it has ", served()));
  }
  if (!board.scalable()) {
    return absl::FailedPreconditionError(
        "the experts run in this router, which was given no --expert: there is nothing to scale");
  }
  return Place{.model = static_cast<size_t>(named - models_.begin()),
               .domain = static_cast<size_t>(known - board.domains().begin())};
}

bool ExternalScaler::Heard(const Model& model) {
  return model.peers == nullptr || model.peers->Heard();
}

/// `answer` runs once: now, or on the board's thread.
void ExternalScaler::AnswerWhenHeard(Place place, std::function<void(const Demand&)> answer) {
  const Model& model = models_[place.model];
  if (model.peers != nullptr) model.peers->Asked();
  bool waits = false;
  const Clock::time_point until = Clock::now() + options_.patience;
  if (!Heard(model)) {
    core::MutexLock lock(mutex_);
    waits = !draining_ && waiting_.size() < options_.max_waiting;
    if (waits) waiting_.push_back({.place = place, .until = until, .answer = answer});
  }
  if (waits) return model.board->WakeAt(until);
  answer(model.board->Totals()[place.domain]);
}

grpc::ServerUnaryReactor* ExternalScaler::IsActive(grpc::CallbackServerContext* context,
                                                   const ScaledObjectRef* request,
                                                   Active* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::StatusOr<Place> place = PlaceOf(*request);
  if (!place.ok()) {
    reactor->Finish(ToGrpc(place.status()));
    return reactor;
  }
  AnswerWhenHeard(*place, [reactor, response](const Demand& total) {
    response->set_result(total.active);
    reactor->Finish(grpc::Status::OK);  // Last: the call's objects may be gone after it.
  });
  return reactor;
}

grpc::ServerUnaryReactor* ExternalScaler::GetMetricSpec(
    grpc::CallbackServerContext* context, const ScaledObjectRef* request,
    externalscaler::GetMetricSpecResponse* response) {
  const absl::StatusOr<Place> place = PlaceOf(*request);
  if (place.ok()) {
    externalscaler::MetricSpec& spec = *response->add_metricspecs();
    spec.set_metricname(kMetric);
    spec.set_targetsize(1);
    spec.set_targetsizefloat(1.0);
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(place.status()));
  return reactor;
}

grpc::ServerUnaryReactor* ExternalScaler::GetMetrics(
    grpc::CallbackServerContext* context, const externalscaler::GetMetricsRequest* request,
    externalscaler::GetMetricsResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  absl::StatusOr<Place> place = PlaceOf(request->scaledobjectref());
  if (place.ok() && request->metricname() != kMetric) {
    place = absl::NotFoundError(
        absl::StrCat("there is no metric \"", Shown(request->metricname()), "\", only ", kMetric));
  }
  if (!place.ok()) {
    reactor->Finish(ToGrpc(place.status()));
    return reactor;
  }
  AnswerWhenHeard(*place, [reactor, response](const Demand& total) {
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
  const absl::StatusOr<Place> place = PlaceOf(*request);
  if (!place.ok()) return new rpc::RefusedStream<Active>(ToGrpc(place.status()));
  auto* const stream = streams_.Open(KeyOf(*place), Clock::now());
  if (stream == nullptr) {
    return new rpc::RefusedStream<Active>(ToGrpc(absl::ResourceExhaustedError(
        absl::StrCat(streams_.limit(), " streams are open already, which is the limit"))));
  }
  const Model& model = models_[place->model];
  if (model.peers != nullptr) model.peers->Asked();
  model.board->Wake();  // Its first word comes from there, as all others do.
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
  for (const Waiting& call : waiting) {
    call.answer(models_[call.place.model].board->Totals()[call.place.domain]);
  }
}

/// On the board's thread.
void ExternalScaler::Told(size_t model) {
  const Clock::time_point now = Clock::now();
  const bool heard = Heard(models_[model]);  // Before the sum: then it holds the word of all heard.
  std::list<Waiting> due;
  {
    core::MutexLock lock(mutex_);
    for (auto call = waiting_.begin(); call != waiting_.end();) {
      const auto next = std::next(call);
      const bool ours = call->place.model == model;
      if (ours && (heard || now >= call->until)) due.splice(due.end(), waiting_, call);
      call = next;
    }
  }
  const bool streaming = streams_.size() > 0;
  if (due.empty() && !streaming) return;
  const std::vector<Demand> total = models_[model].board->Totals();
  for (const Waiting& call : due) call.answer(total[call.place.domain]);
  if (streaming) TellStreams(model, total, heard);
}

/// That nobody wants a domain is known when all were asked; that somebody does, at once.
void ExternalScaler::TellStreams(size_t model, const std::vector<Demand>& total, bool heard) {
  bool any = false;
  streams_.Tell([&](size_t key, const std::optional<Active>& told) -> std::optional<Active> {
    if (key / kMostDomains != model) return std::nullopt;
    any = true;
    const bool active = total[key % kMostDomains].active;
    if (!active && !heard) return std::nullopt;
    if (told && told->result() == active) return std::nullopt;
    Active response;
    response.set_result(active);
    return response;
  });
  if (any && models_[model].peers != nullptr) models_[model].peers->Asked();
  if (options_.stream_age > Clock::duration::zero()) {
    streams_.EndOlder(Clock::now() - options_.stream_age);
  }
}

}  // namespace orchard::router
