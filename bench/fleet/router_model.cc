#include "bench/fleet/router_model.h"

#include <algorithm>
#include <map>
#include <utility>

namespace orchard::bench {

using experts::MissingReason;

namespace {

/// As router/pipeline.cc has it: held back so that a degraded answer still comes in time.
Clock::duration Reserve(Clock::duration budget) {
  return std::clamp(budget / 10, Clock::duration::zero(),
                    Clock::duration(std::chrono::milliseconds(50)));
}

size_t MaxAhead(const RouterPlan& plan) {
  return std::max<size_t>(16, 2 * plan.encode_workers * plan.max_batch + plan.decode_workers);
}

router::Estimates::Workers WorkersOf(const RouterPlan& plan) {
  return {
      .decode = plan.decode_workers, .encode = plan.encode_workers, .max_batch = plan.max_batch};
}

}  // namespace

RouterModel::RouterModel(Events& events, const FleetPlan& plan, const Listing& listing,
                         Random& random, Tally& tally, size_t zone, std::uint64_t identity)
    : events_(events),
      plan_(plan),
      random_(random),
      tally_(tally),
      zone_(zone),
      bytes_(static_cast<size_t>(plan.routers.picture_bytes)),
      max_ahead_(MaxAhead(plan.routers)),
      cores_(events, plan.routers.cores),
      estimates_(WorkersOf(plan.routers), plan.domains.size()),
      meter_(plan.domains.size(), plan.routers.demand),
      outstanding_(plan.domains.size(), 0) {
  for (size_t domain = 0; domain < plan.domains.size(); ++domain) {
    experts_.push_back(
        std::make_unique<ExpertClient>(events, plan, listing, tally, *this, domain, identity));
  }
}

void RouterModel::Begin() {
  for (const auto& expert : experts_) expert->Begin(FromSeconds(random_.Uniform()));
  events_.In(FromSeconds(random_.Uniform() * core::Seconds(plan_.routers.dns_interval)),
             [this] { LookUp(); });
}

void RouterModel::LookUp() {
  if (!alive_) return;
  for (const auto& expert : experts_) expert->LookUp();
  events_.In(plan_.routers.dns_interval, [this] { LookUp(); });
}

size_t RouterModel::endpoints() const {
  size_t count = 0;
  for (const auto& expert : experts_) count += expert->endpoints();
  return count;
}

router::Demand RouterModel::ReadDemand(size_t domain) {
  return meter_.Read(domain, experts_[domain]->ServiceSeconds(), events_.now());
}

void RouterModel::Fail() {
  alive_ = false;
  cores_.Stop();
  for (const auto& expert : experts_) expert->Stop();
  for (const Id id : pictures_.All()) tally_.Lost(pictures_.Take(id).picture.sent);
}

void RouterModel::Send(const Picture& picture) {
  if (!alive_) return tally_.Lost(picture.sent);
  const Clock::duration budget = plan_.arrivals.deadline;
  const Id id =
      pictures_.Add({.picture = picture, .give_up = picture.sent + budget - Reserve(budget)});
  events_.In(plan_.arrivals.hop, [this, id] {
    if (!alive_) return;
    cores_.Work(plan_.routers.receive.Draw(random_), [this, id] { Admit(id); });
  });
}

router::Backlog RouterModel::Ahead() const {
  return {.waiting = decode_queue_.size(),
          .waiting_bytes = static_cast<double>(bytes_ * decode_queue_.size()),
          .decoding = decoding_,
          .decoded = encode_queue_.size(),
          .encoding = encoding_};
}

void RouterModel::Admit(Id id) {
  Request& request = *pictures_.Find(id);
  const router::Backlog ahead = Ahead();
  if (events_.now() + estimates_.OfNew(ahead, bytes_).all() > request.give_up) {
    if (in_flight_ == 0) estimates_.Refused();
    tally_.Shed(request.picture.sent, router::Shed::kDeadline);
    pictures_.Take(id);
    return;
  }
  if (in_flight_ >= plan_.routers.in_flight) {
    tally_.Shed(request.picture.sent, router::Shed::kInFlight);
    pictures_.Take(id);
    return;
  }
  ++in_flight_;
  request.judged = estimates_.WaitBehind(ahead, bytes_);
  request.entered = events_.now();
  decode_queue_.push_back(id);
  StartDecoding();
}

void RouterModel::Shed(Id id, router::Shed reason) {
  --in_flight_;
  tally_.Shed(pictures_.Take(id).picture.sent, reason);
}

void RouterModel::StartDecoding() {
  while (decoding_ < plan_.routers.decode_workers && ahead_ < max_ahead_ &&
         !decode_queue_.empty()) {
    const Id id = decode_queue_.front();
    decode_queue_.pop_front();
    Request& request = *pictures_.Find(id);
    const Clock::time_point now = events_.now();
    if (now + estimates_.FromDecode(bytes_) > request.give_up) {
      Shed(id, router::Shed::kDeadline);
      continue;
    }
    request.waited += now - request.entered;
    request.entered = now;
    ++decoding_;
    ++ahead_;
    cores_.Work(plan_.routers.decode.Draw(random_), [this, id] { Decoded(id); });
  }
}

void RouterModel::Decoded(Id id) {
  Request& request = *pictures_.Find(id);
  estimates_.Decoded(bytes_, events_.now() - request.entered);
  request.entered = events_.now();
  --decoding_;
  encode_queue_.push_back(id);
  StartEncoding();
  StartDecoding();
}

void RouterModel::StartEncoding() {
  const RouterPlan& plan = plan_.routers;
  while (passes_.size() < plan.encode_workers && !encode_queue_.empty()) {
    Pass pass = TakePass();
    if (pass.pictures.empty()) continue;
    const auto size = static_cast<double>(pass.pictures.size());
    const double times = plan.encode_fixed + (1.0 - plan.encode_fixed) * size;
    encoding_ += pass.pictures.size();
    const auto id = passes_.Add(std::move(pass));
    cores_.Work(plan.encode.Draw(random_) * times, [this, id] { Encoded(id); });
  }
}

/// All that wait, up to the limit, but those for whom it is too late.
RouterModel::Pass RouterModel::TakePass() {
  const Clock::time_point now = events_.now();
  const size_t count = std::min(encode_queue_.size(), plan_.routers.max_batch);
  const Clock::duration needed = estimates_.FromEncode(count);
  Pass pass{.pictures = {}, .began = now};
  for (size_t i = 0; i < count; ++i) {
    const Id id = encode_queue_.front();
    encode_queue_.pop_front();
    --ahead_;
    Request& request = *pictures_.Find(id);
    if (now + needed > request.give_up) {
      Shed(id, router::Shed::kDeadline);
      continue;
    }
    request.waited += now - request.entered;
    pass.pictures.push_back(id);
  }
  return pass;
}

void RouterModel::Encoded(Slots<Pass>::Id id) {
  const Pass pass = passes_.Take(id);
  encoding_ -= pass.pictures.size();
  estimates_.Encoded(pass.pictures.size(), events_.now() - pass.began);
  for (const Id picture : pass.pictures) {
    const Request& request = *pictures_.Find(picture);
    estimates_.Waited(request.judged, request.waited);
  }
  Scatter(pass.pictures, /*second=*/false);
  StartEncoding();
  StartDecoding();
}

/// Pictures of one micro-batch that ask the same expert share a call.
void RouterModel::Scatter(const std::vector<Id>& pictures, bool second) {
  std::map<size_t, std::vector<Id>> calls;
  for (const Id id : pictures) {
    Request& request = *pictures_.Find(id);
    const size_t domain = second ? *request.picture.second : request.picture.domain;
    if (second) request.picture.second.reset();
    meter_.Wanted(domain, events_.now());
    calls[domain].push_back(id);
  }
  for (auto& [domain, rows] : calls) Ask(domain, std::move(rows));
}

void RouterModel::Ask(size_t domain, std::vector<Id> pictures) {
  const Clock::time_point now = events_.now();
  const size_t room = plan_.routers.expert_in_flight -
                      std::min(plan_.routers.expert_in_flight, outstanding_[domain]);
  std::vector<Id> left_out;
  if (pictures.size() > room) {
    left_out.assign(pictures.begin() + static_cast<std::ptrdiff_t>(room), pictures.end());
    pictures.resize(room);
  }
  if (!pictures.empty()) {
    Clock::time_point patience = {};
    for (const Id id : pictures) patience = std::max(patience, pictures_.Find(id)->give_up);
    const size_t rows = pictures.size();
    outstanding_[domain] += rows;
    const auto token =
        asked_.Add({.domain = domain, .pictures = std::move(pictures), .began = now});
    experts_[domain]->Score(rows, std::min(patience, now + plan_.routers.expert_timeout), token);
  }
  if (left_out.empty()) return;
  tally_.Missing(now, MissingReason::kOverloaded, left_out.size());
  for (const Id id : left_out) {
    pictures_.Find(id)->degraded = true;
    Combine(id);
  }
}

void RouterModel::ScoreEnded(std::uint64_t token, std::optional<MissingReason> missing) {
  const Asked asked = asked_.Take(token);
  outstanding_[asked.domain] -= asked.pictures.size();
  for (const Id id : asked.pictures) {
    Request& request = *pictures_.Find(id);
    request.degraded = request.degraded || missing.has_value();
    if (!missing) estimates_.Answered(asked.domain, events_.now() - asked.began);
    if (request.picture.second) {
      Scatter({id}, /*second=*/true);
    } else {
      Combine(id);
    }
  }
}

void RouterModel::Combine(Id id) {
  cores_.Work(plan_.routers.combine.Draw(random_), [this, id] { Finish(id); });
}

void RouterModel::Finish(Id id) {
  --in_flight_;
  const Request request = pictures_.Take(id);
  const Clock::time_point end = events_.now() + plan_.arrivals.hop;
  tally_.Answered(request.picture.sent, end, request.degraded,
                  end - request.picture.sent > plan_.arrivals.deadline);
}

}  // namespace orchard::bench
