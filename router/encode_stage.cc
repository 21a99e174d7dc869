#include "router/encode_stage.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"

#include "core/clock.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

EncodeStage::EncodeStage(Options options, Encode encode, ServiceTimes& times, Metrics& metrics,
                         Next next)
    : encode_(std::move(encode)),
      times_(times),
      metrics_(metrics),
      next_(std::move(next)),
      batcher_({.name = "encode",
                .max_batch = options.max_batch,
                .max_waiting = options.max_waiting,
                .workers = options.workers,
                .start_worker = std::move(options.start_worker)},
               [this](std::vector<RequestPtr> batch) { Process(std::move(batch)); }) {}

void EncodeStage::Process(std::vector<RequestPtr> batch) {
  DropUnwanted(batch);
  if (batch.empty()) return;
  const Clock::time_point begin = Clock::now();
  for (const RequestPtr& request : batch) request->passage.Enter(Stage::kEncode, begin);
  absl::StatusOr<Encoded> encoded = EncodeBatch(batch);
  const Clock::time_point end = Clock::now();
  if (!encoded.ok()) return Fail(encoded.status(), std::move(batch));
  times_.encode.Add(end - begin);
  metrics_.MicroBatch(batch.size());
  for (const RequestPtr& request : batch) {
    request->passage.Enter(Stage::kExperts, end);
    metrics_.Stage(Metrics::kEncode, end - begin);
  }
  next_(*std::move(encoded), std::move(batch));
}

void EncodeStage::DropUnwanted(std::vector<RequestPtr>& batch) {
  const Clock::time_point now = Clock::now();
  const Clock::duration needed = times_.encode.Recent() + times_.experts.Recent();
  std::erase_if(batch, [&](RequestPtr& request) {
    const absl::Status worth = request->CheckWorthIt(now, needed);
    if (worth.ok()) return false;
    request->Finish(worth);
    return true;
  });
}

/// Joins the rows: the one copy of pixels on the whole way, and none for a batch of one.
absl::StatusOr<Encoded> EncodeStage::EncodeBatch(std::vector<RequestPtr>& batch) const {
  std::vector<std::uint8_t> pixels = std::move(batch.front()->pixels);
  pixels.reserve(pixels.size() * batch.size());
  for (size_t row = 1; row < batch.size(); ++row) {
    const std::vector<std::uint8_t> own = std::move(batch[row]->pixels);
    pixels.insert(pixels.end(), own.begin(), own.end());
  }
  return encode_(pixels, batch.size());
}

void EncodeStage::Fail(const absl::Status& status, std::vector<RequestPtr> batch) {
  const std::string ids =
      absl::StrJoin(batch, ",", [](std::string* out, const RequestPtr& r) { out->append(r->id); });
  server::Log(
      server::LogLevel::kError, "encode_failed",
      {{"reason", std::string(status.message())}, {"rows", batch.size()}, {"request_ids", ids}});
  for (RequestPtr& request : batch) request->Finish(status);
}

}  // namespace orchard::router
