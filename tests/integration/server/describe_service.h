#pragma once

#include <atomic>
#include <cstdint>
#include <latch>
#include <mutex>
#include <set>
#include <string>

#include "orchard/v1/classifier.grpc.pb.h"

namespace orchard::server::testing {

/// The smallest service: DescribeModel answers at once, Classify when the test allows it, from the
/// callback threads, and gives back how many bytes it was sent as `unknown_score`.
class DescribeService final : public v1::Classifier::CallbackService {
 public:
  grpc::ServerUnaryReactor* DescribeModel(grpc::CallbackServerContext* context,
                                          const v1::DescribeModelRequest*,
                                          v1::ModelDescription*) override {
    NoteCall(*context);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* response) override {
    NoteCall(*context);
    response->set_unknown_score(static_cast<double>(request->image().size()));
    auto* const reactor = new Held(*this);
    if (hold_) {
      reactor_ = reactor;
      held_.count_down();
    } else {
      reactor->Finish(grpc::Status::OK);
    }
    return reactor;
  }

  /// The next Classify waits for Release(); one at a time.
  void Hold() { hold_ = true; }
  void WaitUntilHeld() { held_.wait(); }
  void Release() { reactor_.load()->Finish(grpc::Status::OK); }

  std::uint64_t calls() const { return calls_; }
  /// Connections that calls came over.
  size_t connections() const {
    const std::lock_guard lock(mutex_);
    return peers_.size();
  }

 private:
  void NoteCall(const grpc::CallbackServerContext& context) {
    ++calls_;
    const std::lock_guard lock(mutex_);
    peers_.insert(context.peer());
  }

  class Held final : public grpc::ServerUnaryReactor {
   public:
    explicit Held(DescribeService& service) : service_(service) {}
    void OnDone() override { delete this; }
    void OnCancel() override {
      Held* self = this;
      // A held call that is cut off at the end of a drain still has to be finished.
      if (service_.reactor_.compare_exchange_strong(self, nullptr)) {
        Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut off"));
      }
    }

   private:
    DescribeService& service_;
  };

  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<bool> hold_ = false;
  std::latch held_{1};
  std::atomic<Held*> reactor_ = nullptr;
  mutable std::mutex mutex_;
  std::set<std::string> peers_;  // with their ports
};

}  // namespace orchard::server::testing
