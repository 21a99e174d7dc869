// What goes out from a micro-batch: whom its pictures ask next, and the calls.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

#include "core/status.h"
#include "core/trace_context.h"
#include "core/without_throwing.h"
#include "router/internal/scatter_run.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

void Scatter::Plan() {
  model_->experts().Unavailable(unavailable_);
  const Clock::time_point now = Clock::now();
  // By index: a picture for which nobody has a place is planned for again.
  for (size_t i = 0; i < ready_.size(); ++i) PlanFor(ready_[i], now);
  ready_.clear();
  std::ranges::sort(planned_, std::greater());
}

void Scatter::PlanFor(size_t row, Clock::time_point now) {
  Picture& picture = pictures_[row];
  if (!picture.request) return;
  if (now >= picture.request->give_up || picture.request->Cancelled()) return GoOn(row);
  const std::span<const size_t> wave = picture.gather.Next(unavailable_, room_);
  model_->experts().Wanted(room_.wanted, now);
  if (wave.empty()) {
    picture.complete = true;
    return GoOn(row);
  }
  if (stage_.options_.keep_waves) {
    picture.request->waves.push_back({.reason = picture.gather.wave_reason(), .calls = {}});
  }
  for (const size_t domain : wave) {
    if (model_->experts().TakePlace(domain)) {
      planned_.push_back({.domain = domain, .row = row});
    } else {
      picture.gather.Failed(domain, absl::ResourceExhaustedError("too many rows wait for it"),
                            experts::MissingReason::kOverloaded);
    }
  }
  if (!picture.gather.waiting()) ready_.push_back(row);
}

/// Whether there is still somebody to ask experts for. Else its watch will tell us, or has.
bool Scatter::IsWaitedFor(size_t row) const {
  const RequestPtr& request = pictures_[row].request;
  return request && !request->Cancelled();
}

/// The rows to ask about, ascending, but those that have gone on since they were planned.
std::vector<size_t> Scatter::TakePlanned(size_t domain) {
  std::vector<size_t> rows;
  size_t gone = 0;
  for (; !planned_.empty() && planned_.back().domain == domain; planned_.pop_back()) {
    const size_t row = planned_.back().row;
    if (IsWaitedFor(row)) {
      rows.push_back(row);
    } else {
      ++gone;
    }
  }
  model_->experts().GiveBackPlaces(domain, gone);
  return rows;
}

/// Makes one of the planned calls, or has its pictures wait until it can be made.
void Scatter::Ask() {
  const size_t domain = planned_.back().domain;
  std::vector<size_t> rows = TakePlanned(domain);
  if (rows.empty()) return;
  if (model_->experts().cold().MustWait(domain)) return Hold(domain, rows);
  Send(domain, std::move(rows));
}

/// What the expert of `domain` reads of these rows: the features, or the pictures, which are
/// rendered now that it is known who looks at them. Errors: Render's, RESOURCE_EXHAUSTED.
absl::StatusOr<experts::SubBatch> Scatter::SubBatchOf(size_t domain,
                                                      const std::vector<size_t>& rows) {
  const std::optional<size_t> picture_view = model_->PictureViewOf(domain);
  if (!picture_view) {
    return experts::SubBatch{.view = features_.Find(model_->ReadsOf(domain)), .rows = rows};
  }
  const PictureView& way = model_->picture_views()[*picture_view];
  return core::WithoutThrowing("rendering", [&]() -> absl::StatusOr<experts::SubBatch> {
    std::vector<std::uint8_t> pixels;
    pixels.reserve(rows.size() * way.spec->RowWidth());
    for (const size_t row : rows) {
      ORCHARD_ASSIGN_OR_RETURN(const std::span<const std::uint8_t> own,
                               pictures_[row].request->picture->Render(*picture_view));
      pixels.insert(pixels.end(), own.begin(), own.end());
    }
    experts::SubBatch batch{.view = std::make_shared<const core::View>(way.spec, std::move(pixels)),
                            .rows = std::vector<size_t>(rows.size())};
    std::iota(batch.rows.begin(), batch.rows.end(), size_t{0});
    return batch;
  });
}

/// One call for all rows. Where there is no memory for what it takes, it may do for each alone that
/// is still waited for; a row for which it does not goes on without the expert.
void Scatter::Send(size_t domain, std::vector<size_t> rows) {
  absl::StatusOr<experts::SubBatch> batch = SubBatchOf(domain, rows);
  if (batch.ok()) return MakeCall(domain, std::move(rows), *std::move(batch));
  if (rows.size() > 1) {
    for (const size_t row : rows) {
      if (IsWaitedFor(row)) {
        Send(domain, {row});
      } else {
        model_->experts().GiveBackPlaces(domain, 1);
      }
    }
    return;
  }
  const Request& request = *pictures_[rows.front()].request;
  server::LogLimited(server::LogLevel::kError, "render_failed", model_->catalogue().domains[domain],
                     {{"domain", model_->catalogue().domains[domain]},
                      {"request_id", request.id},
                      {"trace_id", core::TraceId(request.trace)},
                      {"reason", std::string(batch.status().message())}});
  FailUnasked(rows.front(), domain, batch.status(), experts::ReasonOf(batch.status()));
}

/// A row that has its place and is not asked after all goes on without the domain.
void Scatter::FailUnasked(size_t row, size_t domain, absl::Status why,
                          experts::MissingReason reason) {
  model_->experts().GiveBackPlaces(domain, 1);
  Gather& gather = pictures_[row].gather;
  gather.Failed(domain, std::move(why), reason);
  if (!gather.waiting()) ready_.push_back(row);
}

/// A call may serve several pictures: it may take as long as the most patient one waits.
void Scatter::MakeCall(size_t domain, std::vector<size_t> rows, experts::SubBatch batch) {
  const Clock::time_point now = Clock::now();
  Clock::time_point latest = {};
  std::vector<experts::Caller> callers;
  callers.reserve(rows.size());
  for (const size_t row : rows) {
    Request& request = *pictures_[row].request;
    latest = std::max(latest, request.give_up);
    callers.push_back(
        {.request_id = request.id, .traceparent = core::ToTraceparent(request.trace)});
    if (!stage_.options_.keep_waves) continue;
    request.waves.back().calls.push_back({.domain = domain});  // Its place; Keep() fills it.
  }
  const size_t index = calls_.size();
  const Call& call = calls_.emplace_back(Call{
      .domain = domain,
      .rows = rows,
      .waiting = rows.size(),
      .begin = now,
      .deadline = std::min(latest, now + stage_.options_.expert_timeout),
      .attempts = stage_.options_.keep_waves ? std::make_shared<experts::AttemptLog>() : nullptr});
  experts::CallContext context{.deadline = call.deadline,
                               .callers = std::move(callers),
                               .cancelled = call.cancel.get_token(),
                               .attempts = call.attempts};
  const size_t places = rows.size();
  model_->experts().expert(domain).Score(
      std::move(batch), std::move(context),
      [self = shared_from_this(), index, domain, places](experts::Scored scored) {
        self->model_->experts().GiveBackPlaces(domain, places);
        self->Post([&](Inbox& inbox) {
          inbox.answers.push_back(
              {.call = index, .when = Clock::now(), .scored = std::move(scored)});
        });
      });
}

}  // namespace orchard::router
