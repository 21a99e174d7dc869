#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include "core/clock.h"
#include "core/mutex.h"

namespace orchard::server::internal {

/// Calls the health service of its own process every `interval`, so that gRPC's callback threads
/// stay awake: idle for a second, each sleeps 100 ms without polling, and a request that comes then
/// waits (serving.md section 1.1). One call at a time. Thread-safe.
class Heartbeat {
 public:
  Heartbeat(std::shared_ptr<grpc::Channel> channel, std::chrono::milliseconds interval);

  ~Heartbeat() { Stop(); }

  /// Ends; waits for the call in progress. Before the server shuts down. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  /// How long ago the last call was answered; since the start, before the first.
  core::Clock::duration silence() const { return core::Clock::now() - answered_.load(); }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  void Beat();

  const std::chrono::milliseconds interval_;
  grpc::GenericStub stub_;
  std::atomic<core::Clock::time_point> answered_ = core::Clock::now();
  core::Mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // Last: it uses everything above.
};

}  // namespace orchard::server::internal
