#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>
#include <prometheus/registry.h>

#include "core/clock.h"
#include "core/mutex.h"
#include "experts/expert_service.h"
#include "experts/head_scorer.h"
#include "model/encoder.h"
#include "model/loaded_model.h"
#include "model/manifest.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "router/classifier_service.h"
#include "router/engine.h"
#include "rpc/status.h"
#include "server/grpc_host.h"
#include "tests/testing/eventually.h"
#include "tests/testing/tiny_model_folder.h"

/// \file
/// A router, and experts, on loopback within the test's process; and the tiny model that they
/// serve.

namespace orchard::router::testing {

/// The tiny model on disk, made once a process.
inline const orchard::testing::TinyModelFolder& TinyModel() {
  [[maybe_unused]] static const bool prepared = (model::PrepareInferenceThread(), true);
  return orchard::testing::SharedTinyModel();
}

/// Experts of the tiny model behind one port.
class RunningExperts {
 public:
  explicit RunningExperts(const std::vector<std::string>& domains) {
    const v1::ModelManifest& manifest = TinyModel().manifest();
    auto heads = *model::LoadExperts(TinyModel().version(), domains);
    std::vector<experts::ServedExpert> served;
    for (auto& head : heads) {
      const int index = model::DomainIndex(manifest, head->part().domain());
      served.push_back({*experts::SpecOf(manifest, index), experts::ScorerOf(std::move(head))});
    }
    experts::ExpertServiceOptions options;
    options.start_worker = model::PrepareInferenceThread;
    service_ = std::make_unique<experts::ExpertService>(std::move(served), manifest.name(),
                                                        manifest.version(), registry_, options);
    server::GrpcLimits limits;
    limits.max_message_bytes = service_->MaxRequestBytes();
    host_ = *server::GrpcHost::Start(
        {"127.0.0.1", 0}, {{v1::Expert::service_full_name(), service_.get()}}, limits, domains);
    host_->SetServing(true);
  }

  std::string address() const { return host_->address().ToString(); }

 private:
  prometheus::Registry registry_;
  std::unique_ptr<experts::ExpertService> service_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the rest.
};

/// Experts that take every call and never answer, behind one port: what is stuck looks like this.
class SilentExperts {
 public:
  explicit SilentExperts(const std::vector<std::string>& domains) {
    host_ = *server::GrpcHost::Start({"127.0.0.1", 0},
                                     {{v1::Expert::service_full_name(), &service_}}, {}, domains);
    host_->SetServing(true);
  }

  std::string address() const { return host_->address().ToString(); }
  void WaitForCalls(int calls) const {
    EXPECT_TRUE(orchard::testing::Eventually([&] { return service_.calls >= calls; }));
  }
  /// Whether so many are cancelled by their caller, soon.
  bool WaitForCancelled(int calls) const {
    return orchard::testing::Eventually([&] { return service_.cancelled >= calls; });
  }

 private:
  struct Service final : v1::Expert::CallbackService {
    grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext*, const v1::ScoreRequest*,
                                    v1::ScoreResponse*) override {
      struct Silence final : grpc::ServerUnaryReactor {
        explicit Silence(Service& owner) : service(owner) {}
        void OnCancel() override {
          ++service.cancelled;
          Finish(grpc::Status::CANCELLED);
        }
        void OnDone() override { delete this; }
        Service& service;
      };
      ++calls;
      return new Silence(*this);
    }
    std::atomic<int> calls = 0;
    std::atomic<int> cancelled = 0;
  };

  Service service_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the service.
};

/// Experts that keep what they are asked and fail, behind one port.
class RecordingExperts {
 public:
  RecordingExperts() {
    host_ = *server::GrpcHost::Start({"127.0.0.1", 0},
                                     {{v1::Expert::service_full_name(), &service_}}, {}, {});
    host_->SetServing(true);
  }

  std::string address() const { return host_->address().ToString(); }
  /// What was asked first.
  v1::ScoreRequest First() const {
    core::MutexLock lock(service_.mutex);
    return service_.asked.at(0);
  }

 private:
  struct Service final : v1::Expert::CallbackService {
    grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                    const v1::ScoreRequest* request, v1::ScoreResponse*) override {
      {
        core::MutexLock lock(mutex);
        asked.push_back(*request);
      }
      grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
      reactor->Finish({grpc::StatusCode::INTERNAL, "it only listens"});
      return reactor;
    }
    mutable core::Mutex mutex;
    std::vector<v1::ScoreRequest> asked ABSL_GUARDED_BY(mutex);
  };

  Service service_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the service.
};

/// The settings of a router all of whose experts are at `address`.
inline Engine::Config WithExpertsAt(const std::string& address) {
  Engine::Config config;
  for (const std::string& domain : TinyModel().domains()) {
    config.experts.push_back(domain + "=" + address);
  }
  return config;
}

class RunningRouter {
 public:
  /// With `credentials` it is to be called at `address`, and by nobody through `stub`.
  explicit RunningRouter(Engine::Config config = {}, size_t max_stream_in_flight = 16,
                         const std::shared_ptr<grpc::ServerCredentials>& credentials = nullptr) {
    if (config.models.empty()) config.models = {{.version_dir = TinyModel().version()}};
    engine_ = *Engine::Load(config, registry_);
    service_ = std::make_unique<ClassifierService>(
        *engine_, ClassifierService::Options{.max_stream_in_flight = max_stream_in_flight});
    server::GrpcLimits limits;
    limits.max_message_bytes = config.pipeline.limits.max_bytes;
    host_ = *server::GrpcHost::Start(
        {"127.0.0.1", 0},
        {{v1::Classifier::service_full_name(), service_.get(), [this] { service_->EndStreams(); }}},
        limits, {}, credentials);
    host_->SetServing(true);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    channel_ = grpc::CreateCustomChannel(host_->address().ToString(),
                                         grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::Classifier::NewStub(channel_);
  }

  std::string address() const { return host_->address().ToString(); }
  v1::Classifier::Stub& stub() { return *stub_; }
  Engine& engine() { return *engine_; }
  ClassifierService& service() { return *service_; }
  server::GrpcHost& host() { return *host_; }
  prometheus::Registry& registry() { return registry_; }

  absl::StatusOr<v1::ClassifyResponse> Classify(const std::string& image,
                                                const v1::ClassifyOptions& options = {}) {
    grpc::ClientContext context;
    return Classify(context, image, options);
  }

  absl::StatusOr<v1::ClassifyResponse> Classify(grpc::ClientContext& context,
                                                const std::string& image,
                                                const v1::ClassifyOptions& options = {}) {
    v1::ClassifyRequest request;
    request.set_image(image);
    *request.mutable_options() = options;
    v1::ClassifyResponse response;
    const grpc::Status status = stub_->Classify(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }

 private:
  prometheus::Registry registry_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ClassifierService> service_;
  std::unique_ptr<server::GrpcHost> host_;  // Its calls use what stands above.
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Classifier::Stub> stub_;
};

}  // namespace orchard::router::testing
