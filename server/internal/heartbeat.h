#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

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

  /// Calls that were answered.
  std::uint64_t count() const { return count_; }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  void Beat();

  const std::chrono::milliseconds interval_;
  grpc::GenericStub stub_;
  std::atomic<std::uint64_t> count_ = 0;
  core::Mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // Last: it uses everything above.
};

}  // namespace orchard::server::internal
