#include "router/refused.h"

#include <utility>
#include <vector>

namespace orchard::router {

Refused::Refused(const Observers& observers)
    : observers_(observers),
      teller_({.name = "refused",
               .max_batch = 1,
               .max_waiting = kMostWaiting,
               .workers = 1,
               .start_worker = nullptr},
              [](const std::vector<Answered>& one) { one.front().Tell(); }) {}

void Refused::End(RequestPtr request, absl::Status why) {
  request->Answer(why);
  if (!observers_.AnyAfterAnswer()) return;
  Answered answered{.request = std::move(request), .why = std::move(why)};
  const bool taken = teller_.Submit(std::move(answered)).ok();
  // NOLINTNEXTLINE(bugprone-use-after-move): what is not taken is not touched.
  if (!taken) answered.Tell();
}

}  // namespace orchard::router
