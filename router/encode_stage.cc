#include "router/encode_stage.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/trace_context.h"
#include "core/without_throwing.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {

using core::Clock;

namespace {

bool OfOneModel(const RequestPtr& a, const RequestPtr& b) { return a->model == b->model; }

/// The rows, one after the other.
std::vector<std::uint8_t> Join(std::span<const RequestPtr> batch) {
  std::vector<std::uint8_t> pixels;
  pixels.reserve(batch.size() * batch.front()->pixels.size());
  for (const RequestPtr& request : batch) {
    pixels.insert(pixels.end(), request->pixels.begin(), request->pixels.end());
  }
  return pixels;
}

}  // namespace

EncodeStage::EncodeStage(Options options, Estimates& estimates, Metrics& metrics, Next next)
    : estimates_(estimates),
      metrics_(metrics),
      next_(std::move(next)),
      batcher_({.name = "encode",
                .max_batch = options.max_batch,
                .max_waiting = options.max_waiting,
                .workers = options.workers,
                .start_worker = std::move(options.start_worker),
                .together = OfOneModel},
               [this](std::vector<RequestPtr> batch) { Process(std::move(batch)); }) {}

void EncodeStage::Process(std::vector<RequestPtr> batch) {
  const Metrics::Busy busy(metrics_, Metrics::kEncode);
  for (const RequestPtr& request : batch) request->slot.Encoding();  // Decoders may go on.
  DropUnwanted(batch);
  if (batch.empty()) return;
  const Clock::time_point begin = Clock::now();
  for (const RequestPtr& request : batch) request->passage.Enter(Stage::kEncode, begin);
  encoding_.fetch_add(batch.size(), std::memory_order_relaxed);
  Run(std::move(batch));
}

/// One pass for all.
void EncodeStage::Run(std::vector<RequestPtr> batch) {
  const Clock::time_point begin = Clock::now();
  absl::StatusOr<Encoded> encoded = Encode(batch);
  if (!encoded.ok() && batch.size() > 1) return RunEach(std::move(batch));
  encoding_.fetch_sub(batch.size(), std::memory_order_relaxed);
  const Clock::time_point end = Clock::now();
  if (!encoded.ok()) return Fail(encoded.status(), std::move(batch.front()));
  Learn(batch, end - begin);
  GoOn(*std::move(encoded), std::move(batch), end);
}

/// After a pass that failed: whose picture was it? Rows do not depend on one another, so the others
/// lose nothing but the time, which may have been all that they had. Where memory was short it may
/// do for one.
void EncodeStage::RunEach(std::vector<RequestPtr> batch) {
  for (RequestPtr& request : batch) {
    std::vector<RequestPtr> one;
    one.push_back(std::move(request));
    DropUnwanted(one);
    if (one.empty()) {
      encoding_.fetch_sub(1, std::memory_order_relaxed);
      continue;
    }
    Run(std::move(one));
  }
}

void EncodeStage::GoOn(Encoded encoded, std::vector<RequestPtr> batch, Clock::time_point now) {
  metrics_.MicroBatch(batch.size());
  for (const RequestPtr& request : batch) {
    request->pixels = {};  // It may wait for experts for long.
    request->passage.Enter(Stage::kExperts, now);
  }
  next_(std::move(encoded), std::move(batch));
}

/// The one copy of pixels on the whole way, and none for a batch of one.
absl::StatusOr<Encoded> EncodeStage::Encode(std::span<const RequestPtr> batch) {
  return core::WithoutThrowing("encoding", [&] {
    const RequestPtr& first = batch.front();
    if (batch.size() == 1) return first->model->Run(first->pixels, 1);
    return first->model->Run(Join(batch), batch.size());
  });
}

void EncodeStage::Learn(const std::vector<RequestPtr>& batch, Clock::duration took) {
  estimates_.Encoded(batch.size(), took);
  for (const RequestPtr& request : batch) {
    // Batch requests yield to those that come after them: that is no fault of the judgement.
    if (request->priority == Priority::kInteractive) {
      estimates_.Waited(request->judged_wait, request->passage.Queued());
    }
  }
}

void EncodeStage::DropUnwanted(std::vector<RequestPtr>& batch) {
  const Clock::time_point now = Clock::now();
  const Clock::duration needed = estimates_.FromEncode(batch.size(), batch.front()->model->place());
  std::erase_if(batch, [&](RequestPtr& request) {
    const absl::Status worth = request->CheckWorthIt(now, needed);
    if (worth.ok()) return false;
    request->Finish(worth);
    return true;
  });
}

void EncodeStage::Fail(const absl::Status& status, RequestPtr request) {
  server::LogLimited(server::LogLevel::kError, "encode_failed", /*kind=*/"",
                     {{"reason", std::string(status.message())},
                      {"request_id", request->id},
                      {"trace_id", core::TraceId(request->trace)}});
  request->Finish(absl::Status(
      status.code(),
      absl::StrCat("the encoder failed; the router's log says why, request id ", request->id)));
}

}  // namespace orchard::router
