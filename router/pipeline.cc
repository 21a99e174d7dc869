#include "router/pipeline.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"

#include "core/status.h"

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

}  // namespace

Pipeline::Pipeline(Settings settings, const Catalogue& catalogue, Encode encode, ExpertFleet& fleet,
                   Metrics& metrics, const std::vector<Observer*>& observers)
    : settings_(std::move(settings)),
      catalogue_(catalogue),
      observers_(Listeners(metrics, observers)),
      limiter_(settings_.in_flight),
      combine_(catalogue),
      scatter_(
          {.workers = settings_.combine_workers,
           .expert_timeout = std::chrono::duration_cast<Clock::duration>(settings_.expert_timeout),
           .expert_in_flight = settings_.expert_in_flight,
           .keep_waves = observers_.depth() == Depth::kWaves},
          catalogue, fleet, timers_, times_, metrics,
          [this](Gathered gathered) { combine_.Run(std::move(gathered)); }),
      // What was decoded is never refused for want of a place: there are as many as requests.
      encode_({.workers = settings_.encode_workers,
               .max_batch = settings_.max_batch,
               .max_waiting = settings_.in_flight,
               .start_worker = settings_.start_encode_worker},
              std::move(encode), times_, metrics,
              [this](Encoded encoded, std::vector<RequestPtr> requests) {
                scatter_.Run(std::move(encoded), std::move(requests));
              }),
      decode_({.workers = settings_.decode_workers,
               .max_waiting = settings_.queue,
               .limits = settings_.limits,
               .profile = settings_.profile},
              times_, metrics,
              [this](RequestPtr&& request) { return encode_.Submit(std::move(request)); }) {
  Metrics::Capacity capacity{.in_flight = settings_.in_flight};
  capacity.workers[Metrics::kDecode] = settings_.decode_workers;
  capacity.workers[Metrics::kEncode] = settings_.encode_workers;
  capacity.workers[Metrics::kCombine] = settings_.combine_workers;
  metrics.SetCapacity(capacity);
}

void Pipeline::Start(Job job, Done done) {
  const Clock::time_point now = Clock::now();
  RequestPtr request = MakeRequest(std::move(job), now, std::move(done));
  absl::Status status = Admit(*request, now);
  if (!status.ok()) return request->Finish(status);
  request->passage.Enter(Stage::kDecodeQueue, Clock::now());
  status = decode_.Submit(std::move(request));
  if (status.ok()) return;
  // NOLINTNEXTLINE(bugprone-use-after-move): Submit takes only what it does not refuse.
  request->passage.GoBack(Stage::kAdmission);
  request->Finish(status);
}

void Pipeline::Refuse(Job job, const absl::Status& why, Done done) {
  MakeRequest(std::move(job), Clock::now(), std::move(done))->Finish(why);
}

RequestPtr Pipeline::MakeRequest(Job job, Clock::time_point now, Done done) const {
  const auto in = [now](std::chrono::nanoseconds time) {
    return now + std::chrono::duration_cast<Clock::duration>(time);
  };
  const Clock::time_point deadline =
      std::min(job.deadline.value_or(in(settings_.default_deadline)), in(settings_.max_deadline));
  auto request =
      std::make_unique<Request>(job.image, job.options, job.arrived.value_or(now),
                                deadline - Reserve(deadline - now), observers_, std::move(done));
  request->method = job.method;
  request->id = std::move(job.request_id);
  request->trace = job.trace;
  request->model = catalogue_.version;
  request->cancelled = std::move(job.cancelled);
  return request;
}

/// In the order of cost; nothing was spent on what is refused here.
absl::Status Pipeline::Admit(Request& request, Clock::time_point now) {
  if (request.image.size() > settings_.limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the picture has %d bytes, the limit is %d; send a smaller one",
                        request.image.size(), settings_.limits.max_bytes));
  }
  ORCHARD_ASSIGN_OR_RETURN(request.slot, limiter_.Admit());
  ORCHARD_RETURN_IF_ERROR(request.CheckWorthIt(now, Clock::duration::zero()));
  absl::Status worth = request.CheckWorthIt(now, TimeNeeded());
  const bool alone = limiter_.in_flight() == 1;
  if (absl::IsDeadlineExceeded(worth) && alone) times_.Refused();
  return worth;
}

/// Of a request that comes now: those ahead of it and itself (serving.md section 5.2).
Clock::duration Pipeline::TimeNeeded() const {
  const auto rounds = [](size_t ahead, size_t at_a_time) {
    return static_cast<Clock::rep>(ahead / std::max<size_t>(at_a_time, 1) + 1);
  };
  return times_.decode.Recent() * rounds(decode_.Waiting(), settings_.decode_workers) +
         times_.encode.Recent() *
             rounds(encode_.Waiting(), settings_.encode_workers * settings_.max_batch) +
         times_.experts.Recent();
}

Metrics::Load Pipeline::Load() const {
  return {.in_flight = limiter_.in_flight(),
          .decode_waiting = decode_.Waiting(),
          .encode_waiting = encode_.Waiting()};
}

}  // namespace orchard::router
