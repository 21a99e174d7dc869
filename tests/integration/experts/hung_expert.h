#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "experts/expert_spec.h"
#include "orchard/v1/expert.grpc.pb.h"
#include "server/grpc_host.h"
#include "tests/testing/expert_samples.h"

namespace orchard::experts {

/// An expert that takes calls and never answers them, until it is told to; answers Describe when
/// `alive`.
class HungExpert {
 public:
  explicit HungExpert(bool alive) : service_(alive) {
    host_ =
        *server::GrpcHost::Start({"127.0.0.1", 0}, {{v1::Expert::service_full_name(), &service_}});
    host_->SetServing(true);
  }
  ~HungExpert() { Heal(); }

  std::string address() const { return host_->address().ToString(); }
  int calls() const { return service_.calls; }
  int cancelled() const { return service_.cancelled; }
  int probes() const { return service_.probes; }
  void Heal() { service_.Heal(); }

 private:
  class Service;
  /// Answered when healed or cancelled, whichever is first.
  class Silence final : public grpc::ServerUnaryReactor {
   public:
    explicit Silence(Service& service) : service_(service) {}
    void Answer(const grpc::Status& status) {
      if (!answered_.exchange(true)) Finish(status);
    }
    void OnCancel() override {
      ++service_.cancelled;
      Answer(grpc::Status::CANCELLED);
    }
    void OnDone() override {
      service_.Forget(this);
      delete this;
    }

   private:
    Service& service_;
    std::atomic<bool> answered_ = false;
  };
  class Service final : public v1::Expert::CallbackService {
   public:
    explicit Service(bool alive) : alive_(alive) {}

    grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext*, const v1::ScoreRequest* request,
                                    v1::ScoreResponse* response) override {
      ++calls;
      auto* const call = new Silence(*this);
      {
        const std::lock_guard lock(mutex_);
        if (!healed_) {
          waiting_.push_back(call);
          return call;
        }
      }
      for (int row = 0; row < request->features().shape(0); ++row) {
        v1::RowScore& score = *response->add_rows();
        for (int i = 0; i < 3; ++i) score.add_log_probabilities(-1.0F);
      }
      call->Answer(grpc::Status::OK);
      return call;
    }
    grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext*, const v1::DescribeRequest*,
                                       v1::ExpertDescription* response) override {
      ++probes;
      const ExpertSpec spec = testing::SampleSpec();
      v1::ExpertDomain& domain = *response->add_domains();
      domain.set_domain(spec.domain);
      domain.set_encoder_fingerprint(spec.encoder_fingerprint);
      domain.set_part_digest(spec.part_digest);
      auto* const call = new Silence(*this);
      {
        const std::lock_guard lock(mutex_);
        if (!alive_ && !healed_) {
          waiting_.push_back(call);
          return call;
        }
      }
      call->Answer(grpc::Status::OK);
      return call;
    }
    void Heal() {
      const std::lock_guard lock(mutex_);
      healed_ = true;
    }
    void Forget(Silence* call) {
      const std::lock_guard lock(mutex_);
      std::erase(waiting_, call);
    }
    std::atomic<int> calls = 0, cancelled = 0, probes = 0;

   private:
    const bool alive_;
    std::mutex mutex_;
    bool healed_ = false;
    std::vector<Silence*> waiting_;
  };

  Service service_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the service.
};

}  // namespace orchard::experts
