#include "router/pipeline.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

#include "core/status.h"
#include "router/refusal.h"

namespace orchard::router {

using core::Clock;

namespace {

/// Held back from a request's time, so that a degraded answer still reaches the caller in it.
Clock::duration Reserve(Clock::duration budget) {
  return std::clamp(budget / 10, Clock::duration::zero(),
                    Clock::duration(std::chrono::milliseconds(50)));
}

/// The metrics first: who hears before the answer hears in this order.
std::vector<Observer*> Listeners(Metrics& metrics, std::vector<Observer*> others) {
  others.insert(others.begin(), &metrics);
  return others;
}

/// Pictures that may be decoded before the encoder needs them: two passes for each of its workers,
/// so that it never waits for a decoder, and what is on the decoders.
size_t MaxAhead(const Pipeline::Settings& settings) {
  return std::max<size_t>(
      16, 2 * settings.encode_workers * settings.max_batch + settings.decode_workers);
}

}  // namespace

Pipeline::Pipeline(Settings settings, core::TimerQueue& timers, Metrics& metrics,
                   const std::vector<Observer*>& observers)
    : settings_(std::move(settings)),
      observers_(Listeners(metrics, observers)),
      refused_(observers_),
      estimates_({.decode = settings_.decode_workers,
                  .encode = settings_.encode_workers,
                  .max_batch = settings_.max_batch},
                 settings_.domains),
      room_({.limits = {.in_flight = settings_.in_flight,
                        .waiting = settings_.queue,
                        .bytes = settings_.in_flight_bytes},
             .max_ahead = MaxAhead(settings_)}),
      scatter_(
          {.workers = settings_.combine_workers,
           .expert_timeout = std::chrono::duration_cast<Clock::duration>(settings_.expert_timeout),
           .keep_waves = observers_.depth() == Depth::kWaves},
          timers, estimates_, metrics, CombineStage::Run),
      // What was decoded is never refused for want of a place: there are as many as requests.
      encode_({.workers = settings_.encode_workers,
               .max_batch = settings_.max_batch,
               .max_waiting = settings_.in_flight,
               .start_worker = settings_.start_encode_worker},
              estimates_, metrics,
              [this](Encoded encoded, std::vector<RequestPtr> requests) {
                scatter_.Run(std::move(encoded), std::move(requests));
              }),
      decode_({.workers = settings_.decode_workers, .limits = settings_.limits}, room_, estimates_,
              metrics,
              [this](RequestPtr&& request) { return encode_.Submit(std::move(request)); }) {
  Metrics::Capacity capacity{.in_flight = settings_.in_flight};
  capacity.workers[Metrics::kDecode] = settings_.decode_workers;
  capacity.workers[Metrics::kEncode] = settings_.encode_workers;
  capacity.workers[Metrics::kCombine] = settings_.combine_workers;
  metrics.SetCapacity(capacity);
  metrics.admission().SetBytesLimit(settings_.in_flight_bytes);
}

void Pipeline::Start(Job job, Done done) {
  const Clock::time_point now = Clock::now();
  const std::string caller = std::move(job.caller);
  RequestPtr request = MakeRequest(std::move(job), now, std::move(done));
  const FairShare::Ask ask{
      .caller = caller, .priority = request->priority, .bytes = request->image.size()};
  absl::Status status = CheckAdmission(*request, ask, now);
  if (!status.ok()) return refused_.End(std::move(request), std::move(status));
  request->passage.Enter(Stage::kDecodeQueue, Clock::now());
  Enter(std::move(request), ask);
}

absl::Status Pipeline::Foresee(const Job& job) const {
  // To an idle line all come: whom it refuses, it learns from.
  const auto load = room_.load();
  if (load.in_flight == 0) return absl::OkStatus();
  const Clock::time_point now = Clock::now();
  const Backlog ahead = Ahead(room_.AheadOf(job.caller, job.priority), load);
  const Needed needed = estimates_.OfUnseen(ahead, settings_.limits.max_bytes);
  ORCHARD_RETURN_IF_ERROR(CheckBudget(now, GiveUpAt(job, now), needed.all()));
  const std::optional<Shed> full =
      room_.WouldRefuse({.caller = job.caller, .priority = job.priority, .bytes = 1});
  return full ? RefusalFor(*full) : absl::OkStatus();
}

void Pipeline::Refuse(Job job, const absl::Status& why, Done done) {
  refused_.End(MakeRequest(std::move(job), Clock::now(), std::move(done)), why);
}

/// The caller's deadline or ours, less what sending an answer takes.
Clock::time_point Pipeline::GiveUpAt(const Job& job, Clock::time_point now) const {
  const auto in = [now](std::chrono::nanoseconds time) {
    return now + std::chrono::duration_cast<Clock::duration>(time);
  };
  const Clock::time_point deadline =
      std::min(job.deadline.value_or(in(settings_.default_deadline)), in(settings_.max_deadline));
  return deadline - Reserve(deadline - now);
}

RequestPtr Pipeline::MakeRequest(Job job, Clock::time_point now, Done done) const {
  const Clock::time_point give_up = GiveUpAt(job, now);
  auto request =
      std::make_unique<Request>(std::move(job.model), job.image, job.options,
                                job.arrived.value_or(now), give_up, observers_, std::move(done));
  request->method = job.method;
  request->id = std::move(job.request_id);
  request->trace = job.trace;
  request->cancelled = std::move(job.cancelled);
  request->priority = job.priority;
  return request;
}

/// In the order of cost; nothing was spent on what is refused here.
absl::Status Pipeline::CheckAdmission(Request& request, const FairShare::Ask& ask,
                                      Clock::time_point now) {
  if (request.model == nullptr) return absl::InternalError("a job for no model");  // Our mistake.
  if (request.image.size() > settings_.limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the picture has %d bytes, the limit is %d; send a smaller one",
                        request.image.size(), settings_.limits.max_bytes));
  }
  ORCHARD_RETURN_IF_ERROR(request.CheckWorthIt(now, Clock::duration::zero()));
  const auto load = room_.load();
  const Backlog ahead = Ahead(room_.AheadOf(ask.caller, ask.priority), load);
  request.judged_wait = estimates_.WaitBehind(ahead, request.image.size());
  const absl::Status worth = request.CheckWorthIt(
      now, estimates_.OfNew(ahead, request.image.size(), request.model->place()).all());
  if (absl::IsDeadlineExceeded(worth) && load.in_flight == 0) estimates_.Refused();
  return worth;
}

void Pipeline::Enter(RequestPtr request, const FairShare::Ask& ask) {
  WaitingRoom<RequestPtr>::Entered entered = room_.Enter(ask, std::move(request));
  for (auto& [evicted, reason] : entered.evicted) {
    refused_.End(std::move(evicted), RefusalFor(reason));
  }
  for (RequestPtr& gone : entered.gone) {
    refused_.End(std::move(gone), absl::CancelledError("the caller has gone"));
  }
  if (!entered.refused) return;
  // NOLINTNEXTLINE(bugprone-use-after-move): the room takes only whom it does not refuse.
  request->passage.GoBack(Stage::kAdmission);
  refused_.End(std::move(request), RefusalFor(*entered.refused));
}

/// With the limit's value, and when to come again: when about half of what is there will be done.
absl::Status Pipeline::RefusalFor(Shed reason) const {
  const auto load = room_.load();
  const auto say = [&]() -> std::string {
    switch (reason) {
      case Shed::kInFlight:
        return absl::StrFormat("in-flight limit of %d requests reached; retry later",
                               settings_.in_flight);
      case Shed::kCallerShare:
        return absl::StrFormat(
            "this caller has its share of the %d places for requests in progress, among %d "
            "callers; retry later",
            settings_.in_flight, load.callers);
      case Shed::kBatchPriority:
        return absl::StrFormat(
            "in-flight limit of %d requests reached, and batch requests yield to interactive ones; "
            "retry later",
            settings_.in_flight);
      case Shed::kQueue:
        return absl::StrFormat("decode queue is full: %d waiting, the limit is %d; retry later",
                               load.waiting, settings_.queue);
      case Shed::kBytes:
        return absl::StrFormat("%d bytes of pictures are in progress, the limit is %d; retry later",
                               load.bytes, settings_.in_flight_bytes);
      case Shed::kDeadline:
        break;
    }
    return "the deadline can't be kept";
  };
  const FairShare::Ahead all{.requests = load.waiting, .bytes = load.waiting_bytes};
  return Refusal(reason, say(), estimates_.OfNew(Ahead(all, load), 1).all() / 2);
}

Backlog Pipeline::Ahead(FairShare::Ahead ahead, const WaitingRoom<RequestPtr>::Load& load) const {
  const size_t decoded = encode_.Waiting();
  const size_t before_the_encoder = load.ahead;
  return {.waiting = ahead.requests,
          .waiting_bytes = ahead.bytes,
          .decoding = before_the_encoder - std::min(before_the_encoder, decoded),
          .decoded = decoded,
          .encoding = encode_.Encoding()};
}

Metrics::Load Pipeline::Load() const {
  const auto load = room_.load();
  return {.in_flight = static_cast<std::int64_t>(load.in_flight),
          .decode_waiting = load.waiting,
          .encode_waiting = encode_.Waiting(),
          .admission = {
              .bytes = load.bytes, .callers = load.callers, .estimates = estimates_.figures()}};
}

}  // namespace orchard::router
