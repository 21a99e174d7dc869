#include "server/internal/heartbeat.h"

#include <future>

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>

#include "core/clock.h"

namespace orchard::server::internal {
namespace {

// An empty HealthCheckRequest (service "") is no bytes at all: no need for its generated code.
constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr std::chrono::seconds kPatience(5);

}  // namespace

Heartbeat::Heartbeat(std::shared_ptr<grpc::Channel> channel, std::chrono::milliseconds interval)
    : interval_(interval), stub_(std::move(channel)), thread_([this] { Run(); }) {}

void Heartbeat::Stop() {
  {
    core::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Heartbeat::Run() {
  while (true) {
    Beat();
    const auto next = core::Clock::now() + interval_;
    core::MutexLock lock(mutex_);
    while (!stopping_ && lock.WaitUntil(changed_, next)) {
    }
    if (stopping_) return;
  }
}

void Heartbeat::Beat() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  // Shared with the callback, which may still be inside set_value() when the waiter wakes.
  const auto answered = std::make_shared<std::promise<bool>>();
  // The callback API on purpose: it is its threads that must be kept awake.
  stub_.UnaryCall(&context, kCheck, grpc::StubOptions(), &request, &response,
                  [answered](const grpc::Status& status) { answered->set_value(status.ok()); });
  if (answered->get_future().get()) answered_ = core::Clock::now();
}

}  // namespace orchard::server::internal
