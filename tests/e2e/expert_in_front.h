#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "orchard/v1/expert.grpc.pb.h"

namespace orchard::testing {

/// An expert of the test's in front of a real one: it says of itself what the real one says, so
/// that it is taken for one, and answers calls as the test wants.
class ExpertInFront {
 public:
  enum class Answer : std::uint8_t {
    kFailure,  ///< INTERNAL
    kLate,     ///< the real one's, after Release()
  };

  ExpertInFront(const std::string& real, Answer answer) : service_(real, answer) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~ExpertInFront() {
    Release();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(10));
  }
  ExpertInFront(const ExpertInFront&) = delete;
  ExpertInFront& operator=(const ExpertInFront&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return service_.calls; }
  void Release() { service_.released = true; }

 private:
  struct Service final : v1::Expert::Service {
    Service(const std::string& real, Answer answers)
        : answer(answers),
          stub(v1::Expert::NewStub(grpc::CreateChannel(real, grpc::InsecureChannelCredentials()))) {
    }

    grpc::Status Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                       v1::ScoreResponse* response) override {
      ++calls;
      if (answer == Answer::kFailure) return {grpc::StatusCode::INTERNAL, "it always fails"};
      while (!released && !context->IsCancelled()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      grpc::ClientContext onward;
      return stub->Score(&onward, *request, response);
    }

    grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest* request,
                          v1::ExpertDescription* response) override {
      grpc::ClientContext onward;
      return stub->Describe(&onward, *request, response);
    }

    const Answer answer;
    const std::unique_ptr<v1::Expert::Stub> stub;
    std::atomic<int> calls = 0;
    std::atomic<bool> released = false;
  };

  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;  // Last: its calls use the service.
};

}  // namespace orchard::testing
