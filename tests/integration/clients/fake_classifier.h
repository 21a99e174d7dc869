#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include <grpcpp/grpcpp.h>

#include "core/mutex.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "rpc/status.h"

namespace orchard::testing {

/// A Classifier on a real loopback port, a free one or that of `listen`. A picture whose bytes are
/// "bad" is INVALID_ARGUMENT; every other one is labelled with its own bytes. While `gone` is set
/// every call fails with that code; `refusals` calls fail as Refuse said; a call waits while the
/// server is held.
class FakeClassifier final : public v1::Classifier::Service {
 public:
  explicit FakeClassifier(const std::shared_ptr<grpc::ServerCredentials>& credentials =
                              grpc::InsecureServerCredentials(),
                          int max_message_bytes = 4 << 20,
                          const std::string& listen = "127.0.0.1:0") {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(max_message_bytes);
    builder.AddListeningPort(listen, credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeClassifier() override { server_->Shutdown(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }
  void set_gone(grpc::StatusCode code) { gone_ = code; }
  void set_max_image_bytes(std::uint64_t bytes) { max_image_bytes_ = bytes; }

  /// Every call takes so long, one after the other: the server has one worker.
  void set_work(std::chrono::milliseconds work) { work_ms_ = work.count(); }

  /// Every answer is this one, with the label added.
  void set_answer(v1::ClassifyResponse answer) {
    core::MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }

  /// The next `count` calls fail with `status`, which may have an ErrorInfo and a pushback.
  void Refuse(int count, absl::Status status) {
    core::MutexLock lock(mutex_);
    refusal_ = std::move(status);
    refusals_ = count;
  }

  /// Calls are taken and not answered until they are given up.
  void set_silent(bool silent) { silent_ = silent; }

  grpc::Status Classify(grpc::ServerContext* context, const v1::ClassifyRequest* request,
                        v1::ClassifyResponse* response) override {
    ++calls_;
    while (silent_ && !context->IsCancelled()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    {
      core::MutexLock lock(mutex_);
      if (work_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(work_ms_));
      if (refusals_ > 0) {
        --refusals_;
        return rpc::ToGrpc(refusal_, *context, std::chrono::milliseconds(1));
      }
      *response = answer_;
    }
    if (gone_ != grpc::StatusCode::OK) return {gone_, "going"};
    if (request->image() == "bad") {
      return {grpc::StatusCode::INVALID_ARGUMENT, "not an image"};
    }
    auto& prediction = *response->add_predictions();
    prediction.set_label(request->image());
    prediction.set_domain("fruit");
    response->set_outcome(v1::OK);
    return grpc::Status::OK;
  }

  grpc::Status DescribeModel(grpc::ServerContext* /*context*/,
                             const v1::DescribeModelRequest* request,
                             v1::ModelDescription* response) override {
    response->set_name("fake");
    response->mutable_limits()->set_max_image_bytes(max_image_bytes_);
    v1::DomainDescription& domain = *response->add_domains();
    domain.set_name("fruit");
    if (request->endpoints()) domain.add_endpoints()->set_address("127.0.0.1:8011");
    return grpc::Status::OK;
  }

 private:
  int port_ = 0;
  std::atomic<int> calls_{0};
  std::atomic<grpc::StatusCode> gone_{grpc::StatusCode::OK};
  std::atomic<std::uint64_t> max_image_bytes_{0};
  std::atomic<bool> silent_{false};
  std::atomic<std::int64_t> work_ms_{0};
  core::Mutex mutex_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::ClassifyResponse answer_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

/// An address at which nobody listens: a port that was free a moment ago.
inline std::string DeadAddress() { return FakeClassifier().address(); }

}  // namespace orchard::testing
