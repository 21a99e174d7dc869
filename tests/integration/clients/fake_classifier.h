#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "orchard/v1/classifier.grpc.pb.h"

namespace orchard::testing {

/// A Classifier on a real loopback port. A picture whose bytes are "bad" is INVALID_ARGUMENT; every
/// other one is labelled with its own bytes. While `gone` is set every call fails with that code.
class FakeClassifier final : public v1::Classifier::Service {
 public:
  FakeClassifier() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeClassifier() override { server_->Shutdown(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }
  void set_gone(grpc::StatusCode code) { gone_ = code; }

  grpc::Status Classify(grpc::ServerContext* /*context*/, const v1::ClassifyRequest* request,
                        v1::ClassifyResponse* response) override {
    ++calls_;
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
                             const v1::DescribeModelRequest* /*request*/,
                             v1::ModelDescription* response) override {
    response->set_name("fake");
    return grpc::Status::OK;
  }

 private:
  int port_ = 0;
  std::atomic<int> calls_{0};
  std::atomic<grpc::StatusCode> gone_{grpc::StatusCode::OK};
  std::unique_ptr<grpc::Server> server_;
};

/// An address at which nobody listens: a port that was free a moment ago.
inline std::string DeadAddress() { return FakeClassifier().address(); }

}  // namespace orchard::testing
