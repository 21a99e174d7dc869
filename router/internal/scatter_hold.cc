// Pictures of a micro-batch that wait for a domain which is being started.
#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "router/internal/scatter_run.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

namespace {

/// What is left of a picture's time when it is held no longer: enough for the experts that it is
/// asked about instead, as quick ones take, in a few waves.
constexpr int kWaves = 4;
constexpr std::chrono::milliseconds kLeastForAnswer{50};

absl::Status Nobody() { return absl::UnavailableError("nobody could be asked"); }

}  // namespace

/// Instead of a call, which would find nobody: the rows wait, each as long as it may.
void Scatter::Hold(size_t domain, const std::vector<size_t>& rows) {
  const Clock::time_point now = Clock::now();
  const Clock::duration answer = std::max<Clock::duration>(
      kLeastForAnswer, kWaves * stage_.estimates_.OfExperts(model_->place()));
  Held held{.domain = domain, .since = now, .rows = {}, .ticket = {}};
  for (const size_t row : rows) {
    const Clock::duration left = pictures_[row].request->give_up - now;
    held.rows.push_back({.row = row,
                         .until = now + std::min(model_->experts().cold().longest(),
                                                 left - std::min(answer, left / 2))});
  }
  held.ticket = WaitFor(domain, held.rows.size());
  held_.push_back(std::move(held));
}

ColdStarts::Ticket Scatter::WaitFor(size_t domain, size_t rows) {
  return model_->experts().cold().Enter(domain, rows, [self = shared_from_this(), domain] {
    self->Post([domain](Inbox& inbox) { inbox.woken.push_back(domain); });
  });
}

/// The domain can be asked, or will not be: the rows that wait for it go on.
void Scatter::Release(size_t domain) {
  std::vector<Held> over;
  for (Held& held : held_) {
    if (held.domain == domain) over.push_back(std::move(held));
  }
  std::erase_if(held_, [domain](const Held& held) { return held.domain == domain; });
  const Clock::time_point now = Clock::now();
  for (Held& held : over) {
    if (model_->experts().cold().MustWait(domain)) {  // Again: it was there for a moment.
      held.ticket = WaitFor(domain, held.rows.size());
      held_.push_back(std::move(held));
      continue;
    }
    std::vector<size_t> rows;
    for (const HeldRow& one : held.rows) {
      rows.push_back(one.row);
      NoteWait(one.row, held, now);
    }
    const auto reason = model_->fleet().Unavailable(domain);
    TellHeld(held, rows.size(), now, reason ? experts::Name(*reason) : "up");
    if (!reason || reason == experts::MissingReason::kCold) {  // Cold: we are being stopped.
      Send(domain, std::move(rows));
      continue;
    }
    for (const size_t row : rows) FailUnasked(row, domain, Nobody(), *reason);
  }
}

/// Rows whose waiting is over: the domain is missing, and they go on without it.
void Scatter::EndHolding(Clock::time_point now) {
  for (Held& held : held_) {
    std::vector<size_t> over;
    std::erase_if(held.rows, [&](const HeldRow& one) {
      if (now < one.until) return false;
      over.push_back(one.row);
      return true;
    });
    if (over.empty()) continue;
    held.ticket.Left(over.size());
    TellHeld(held, over.size(), now, experts::Name(experts::MissingReason::kCold));
    for (const size_t row : over) {
      NoteWait(row, held, now);
      FailUnasked(row, held.domain, Nobody(), experts::MissingReason::kCold);
    }
  }
  std::erase_if(held_, [](const Held& held) { return held.rows.empty(); });
}

/// The picture goes on: it waits for nobody, and its places are free.
void Scatter::LeaveHeld(size_t row, Clock::time_point now) {
  for (Held& held : held_) {
    if (std::erase_if(held.rows, [row](const HeldRow& one) { return one.row == row; }) == 0) {
      continue;
    }
    held.ticket.Left(1);
    model_->experts().GiveBackPlaces(held.domain, 1);
    NoteWait(row, held, now);
  }
  std::erase_if(held_, [](const Held& held) { return held.rows.empty(); });
}

/// Time in which it waits for two domains counts once.
void Scatter::NoteWait(size_t row, const Held& held, Clock::time_point now) {
  Picture& picture = pictures_[row];
  picture.request->cold_wait += now - std::max(held.since, picture.waited_until);
  picture.waited_until = now;
}

void Scatter::TellHeld(const Held& held, size_t rows, Clock::time_point now,
                       std::string_view result) const {
  const std::string& domain = model_->catalogue().domains[held.domain];
  server::LogLimited(server::LogLevel::kInfo, "cold_start", domain + " " + std::string(result),
                     {{"domain", domain},
                      {"rows", rows},
                      {"ms", core::Milliseconds(now - held.since)},
                      {"result", result}});
}

}  // namespace orchard::router
