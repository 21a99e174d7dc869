#include "router/peer.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_callback.h>

#include "rpc/channel_arguments.h"
#include "server/limited_log.h"

namespace orchard::router {

using core::Clock;

namespace {

/// Whoever was not heard for so long is not waited for any more.
constexpr std::chrono::seconds kLongestGreeting{2};

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::string& authority,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  // While a peer is watched there is a call, whose connection is kept alive.
  const grpc::ChannelArguments arguments =
      rpc::ConnectionArguments({.authority = authority, .keepalive_when_idle = false});
  return grpc::CreateCustomChannel(
      address, credentials ? credentials : grpc::InsecureChannelCredentials(), arguments);
}

/// In the order of our domains; what the peer does not know it does not want.
std::vector<Demand> DemandsOf(const v1::DemandReport& report,
                              const std::vector<std::string>& domains) {
  std::vector<Demand> demands(domains.size());
  for (const v1::DomainDemand& said : report.domains()) {
    const auto known = std::ranges::find(domains, said.domain());
    if (known == domains.end()) continue;
    Demand& demand = demands[static_cast<size_t>(known - domains.begin())];
    demand = {.rows_per_second = std::max(0.0, said.rows_per_second()),
              .desired_replicas = std::max(0.0, said.desired_replicas()),
              .active = said.active()};
    if (said.service_seconds() > 0.0) demand.service_seconds = said.service_seconds();
  }
  return demands;
}

}  // namespace

/// gRPC owns its life: deleted in OnDone.
class Peer::WatchCall final : public grpc::ClientReadReactor<v1::DemandReport> {
 public:
  WatchCall(Peer& peer, std::shared_ptr<grpc::ClientContext> context)
      : peer_(peer), context_(std::move(context)) {
    request_.set_model(peer.board_.model());
  }

  void Start() {
    peer_.stub_->async()->Watch(context_.get(), &request_, this);
    StartRead(&report_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone says why.
    peer_.Heard(report_);
    StartRead(&report_);
  }

  void OnDone(const grpc::Status& status) override {
    Peer& peer = peer_;
    peer.TakeContext().reset();  // The contexts go here, while the peer still holds the channel.
    delete this;
    peer.Ended(status);  // Last: the peer may go after it.
  }

 private:
  Peer& peer_;
  const std::shared_ptr<grpc::ClientContext> context_;
  v1::WatchDemandRequest request_;
  v1::DemandReport report_;
};

Peer::Peer(DemandBoard& board, std::string address, const std::string& authority,
           const std::shared_ptr<grpc::ChannelCredentials>& credentials, Clock::time_point now)
    : board_(board),
      address_(std::move(address)),
      made_(now),
      channel_(MakeChannel(address_, authority, credentials)),
      stub_(v1::Demand::NewStub(channel_)) {}

Peer::~Peer() {
  Stop();
  core::MutexLock lock(mutex_);
  while (open_) lock.Wait(ended_);
}

void Peer::Look(Clock::time_point now, Clock::duration patience) {
  const std::optional<PeerState> state = State(now, patience);
  std::shared_ptr<grpc::ClientContext> silent;
  std::string reason;
  PeerState was = PeerState::kConnecting;
  bool open = false;
  {
    core::MutexLock lock(mutex_);
    open = open_;
    if (open_ && now - std::max(opened_, heard_.value_or(opened_)) > patience) silent = context_;
    reason = reason_.empty() ? "it is silent" : reason_;
    was = std::exchange(logged_, state.value_or(logged_));
  }
  if (silent) silent->TryCancel();  // Without the lock: it may call back.
  if (!open) Open();
  if (!state || was == *state) return;
  const bool well = *state == PeerState::kUp || *state == PeerState::kConnecting;
  server::LogLimited(well ? server::LogLevel::kInfo : server::LogLevel::kWarning, "router_peer",
                     absl::StrCat(address_, " ", std::string(Name(*state))),
                     {{"address", address_},
                      {"state", Name(*state)},
                      {"was", Name(was)},
                      {"reason", well ? std::string_view() : std::string_view(reason)}});
}

void Peer::Open() {
  auto context = std::make_shared<grpc::ClientContext>();
  {
    core::MutexLock lock(mutex_);
    if (open_ || stopped_ || self_) return;
    open_ = true;
    opened_ = Clock::now();
    context_ = context;
  }
  (new WatchCall(*this, std::move(context)))->Start();
}

void Peer::Heard(const v1::DemandReport& report) {
  const Clock::time_point now = Clock::now();
  const bool self = report.instance() == board_.instance();
  const bool foreign = report.model() != board_.model();
  {
    core::MutexLock lock(mutex_);
    if (stopped_) return;
  }
  // Before it counts as heard: who sees that all were heard finds what they said.
  if (self || foreign) {
    board_.Forget(address_);
  } else {
    board_.Put(address_, {.instance = report.instance(),
                          .domains = DemandsOf(report, board_.domains()),
                          .when = now});
  }
  std::shared_ptr<grpc::ClientContext> hang_up;
  bool first = false;
  {
    core::MutexLock lock(mutex_);
    first = !heard_ || failed_;
    heard_ = now;
    self_ = self;
    foreign_ = foreign;
    failed_ = false;
    reason_ = foreign ? absl::StrCat("it serves the model \"", report.model(), "\"") : "";
    if (self) hang_up = context_;
  }
  if (hang_up) hang_up->TryCancel();
  if (first) board_.Wake();  // Somebody may wait for its word.
}

void Peer::Stop() {
  std::shared_ptr<grpc::ClientContext> context;
  {
    core::MutexLock lock(mutex_);
    stopped_ = true;
    context = context_;
  }
  if (context) context->TryCancel();
}

bool Peer::idle() const {
  core::MutexLock lock(mutex_);
  return !open_;
}

std::optional<PeerState> Peer::State(Clock::time_point now, Clock::duration patience) const {
  core::MutexLock lock(mutex_);
  if (self_) return std::nullopt;
  if (heard_ && !failed_ && now - *heard_ <= patience) {
    return foreign_ ? PeerState::kForeign : PeerState::kUp;
  }
  const bool greeted = heard_ || failed_ || now - made_ > kLongestGreeting;
  return greeted ? PeerState::kDown : PeerState::kConnecting;
}

std::shared_ptr<grpc::ClientContext> Peer::TakeContext() {
  core::MutexLock lock(mutex_);
  return std::move(context_);
}

void Peer::Ended(const grpc::Status& status) {
  // One that was heard and fails is to be known soon, and is not waited for.
  board_.Wake();
  core::MutexLock lock(mutex_);
  if (!self_) {
    failed_ = true;
    reason_ = status.ok() ? "it hung up" : status.error_message().substr(0, 256);
  }
  open_ = false;
  ended_.notify_all();  // Under the lock: we may die after it.
}

}  // namespace orchard::router
