#include "server/internal/health_service.h"

#include <optional>
#include <utility>

namespace orchard::server::internal {

/// One Watch. gRPC owns its life: created in the handler, deleted in OnDone. Its state is guarded
/// by the service's mutex; what is to be done is decided under it and carried out after it.
class HealthService::WatchCall final : public grpc::ServerWriteReactor<Response> {
 public:
  enum class Step { kNothing, kWrite, kFinish };

  WatchCall(HealthService& service, bool known) : service_(service), known_(known) {}

  /// A state to be told; an older one that was not yet sent is forgotten.
  void Offer(Response::ServingStatus status) { pending_ = status; }
  /// Ends the call after what is still to be told.
  void End() { ending_ = true; }
  bool known() const { return known_; }

  /// What to do now. After kWrite or kFinish nobody else gets one until it is done, so that this
  /// object can't die between the decision and Perform().
  Step Decide() {
    if (writing_ || finished_) return Step::kNothing;
    if (pending_) {
      response_.set_status(*std::exchange(pending_, std::nullopt));
      writing_ = true;
      return Step::kWrite;
    }
    finished_ = ending_;
    return ending_ ? Step::kFinish : Step::kNothing;
  }

  void Perform(Step step) {
    if (step == Step::kWrite) StartWrite(&response_);
    if (step == Step::kFinish) {
      Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is shutting down"));
    }
  }

  void OnWriteDone(bool ok) override {
    Step step = Step::kNothing;
    {
      core::MutexLock lock(service_.mutex_);
      writing_ = false;
      if (!ok) GiveUp();
      step = Decide();
    }
    Perform(step);
  }

  void OnCancel() override {
    Step step = Step::kNothing;
    {
      core::MutexLock lock(service_.mutex_);
      GiveUp();
      step = Decide();
    }
    Perform(step);
  }

  void OnDone() override {
    {
      core::MutexLock lock(service_.mutex_);
      service_.watches_.erase(this);
    }
    delete this;
  }

 private:
  /// Nobody listens any more.
  void GiveUp() {
    pending_.reset();
    ending_ = true;
  }

  HealthService& service_;
  const bool known_;
  Response response_;
  std::optional<Response::ServingStatus> pending_;
  bool writing_ = false;
  bool ending_ = false;
  bool finished_ = false;
};

HealthService::HealthService(std::vector<std::string> names)
    : names_(std::make_move_iterator(names.begin()), std::make_move_iterator(names.end())) {}

void HealthService::SetServing(bool serving) {
  std::vector<std::pair<WatchCall*, WatchCall::Step>> steps;
  {
    core::MutexLock lock(mutex_);
    if (std::exchange(serving_, serving) == serving) return;
    for (WatchCall* watch : watches_) {
      if (!watch->known()) continue;
      watch->Offer(Status());
      steps.emplace_back(watch, watch->Decide());
    }
  }
  for (const auto& [watch, step] : steps) {
    if (step != WatchCall::Step::kNothing) watch->Perform(step);
  }
}

void HealthService::EndWatches() {
  std::vector<std::pair<WatchCall*, WatchCall::Step>> steps;
  {
    core::MutexLock lock(mutex_);
    ended_ = true;
    for (WatchCall* watch : watches_) {
      watch->End();
      steps.emplace_back(watch, watch->Decide());
    }
  }
  for (const auto& [watch, step] : steps) {
    if (step != WatchCall::Step::kNothing) watch->Perform(step);
  }
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const grpc::health::v1::HealthCheckRequest* request,
                                               grpc::health::v1::HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (!names_.contains(request->service())) {
    reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "no service of this name"));
    return reactor;
  }
  {
    core::MutexLock lock(mutex_);
    response->set_status(Status());
  }
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext* /*context*/, const grpc::health::v1::HealthCheckRequest* request) {
  auto* const watch = new WatchCall(*this, names_.contains(request->service()));
  WatchCall::Step step = WatchCall::Step::kNothing;
  {
    core::MutexLock lock(mutex_);
    watches_.insert(watch);
    watch->Offer(watch->known() ? Status() : Response::SERVICE_UNKNOWN);
    if (ended_) watch->End();
    step = watch->Decide();
  }
  watch->Perform(step);
  return watch;
}

}  // namespace orchard::server::internal
