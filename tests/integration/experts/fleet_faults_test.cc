#include <algorithm>
#include <atomic>
#include <future>
#include <latch>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/remote_expert.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/status_matchers.h"

/// A remote expert whose endpoints hang, refuse, fail, are slow, come and go.

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::MuteServer;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::StatusIs;
using testing::WholeBatch;

RemoteExpertOptions Quick(RemoteExpertOptions options = {}) {
  options.initial_backoff = 50ms;
  options.max_backoff = 500ms;
  options.tend_interval = 5ms;
  options.probe_interval = 20ms;
  return options;
}

std::unique_ptr<RemoteExpert> Remote(const std::vector<std::string>& addresses,
                                     RemoteExpertOptions options = {}) {
  auto expert = RemoteExpert::Create(SampleSpec(), addresses, Quick(std::move(options)));
  EXPECT_THAT(expert, IsOk());
  return *std::move(expert);
}

SubBatch OneRow(unsigned seed = 0) { return WholeBatch(SampleFeatures(1, seed)); }

CallContext Within(core::Clock::duration time) { return {.deadline = core::Clock::now() + time}; }

double RowsOf(ExpertServer& server) {
  return MetricValue(server.registry(), "orchard_expert_server_rows_total",
                     {{"model", "default"}, {"domain", "apple"}});
}

/// Takes calls and never answers them, until it is told to; answers Describe when `alive`.
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
      const ExpertSpec spec = SampleSpec();
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
    std::atomic<int> calls = 0, cancelled = 0;

   private:
    const bool alive_;
    std::mutex mutex_;
    bool healed_ = false;
    std::vector<Silence*> waiting_;
  };

  Service service_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the service.
};

/// Silence so long is its fault, though nothing is known of it yet.
constexpr auto kFair = 1100ms;

void FailFiveTimes(RemoteExpert& expert) {
  std::vector<std::future<absl::StatusOr<model::ScoreBatch>>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(Ask(expert, OneRow(), kFair));
  for (auto& answer : answers) {
    EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("apple")));
  }
}

TEST(HungExpertTest, ALoneOneIsMissingAtOnceAfterFiveAndBackWhenItAnswers) {
  for (const bool alive : {false, true}) {  // The whole process, or its computing alone.
    HungExpert hung(alive);
    const auto expert = Remote({hung.address()}, {.probe_timeout = 100ms});
    ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
    FailFiveTimes(*expert);
    ASSERT_TRUE(Eventually([&] { return expert->Unavailable() == MissingReason::kEjected; }));
    const Scored scored = AskFully(*expert, OneRow(), Within(20s)).get();
    if (!alive) {  // Otherwise it may be on trial by now.
      EXPECT_THAT(scored.scores, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("ejected")));
      EXPECT_EQ(scored.reason, MissingReason::kEjected);
      EXPECT_THAT(scored.attempts, IsEmpty());
    }
    hung.Heal();
    ASSERT_TRUE(Eventually([&] { return Ask(*expert, OneRow(), 1s).get().ok(); }));
    ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  }
}

TEST(HungExpertTest, OneOfTwoIsEjectedAndTheOtherAnswers) {
  HungExpert hung(/*alive=*/false);
  ExpertServer well;
  std::atomic<int> ejections = 0;
  const auto expert =
      Remote({hung.address(), well.address().ToString()},
             {.probe_timeout = 100ms,
              .hedge = false,
              .events = {.on_transition = [&](const EndpointTransition& transition) {
                if (transition.state == EndpointState::kEjected) ++ejections;
              }}});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  ASSERT_TRUE(Eventually([&] {
    (void)Ask(*expert, OneRow(), 150ms).get();
    return expert->Endpoints()[0].state == EndpointState::kEjected;
  }));
  EXPECT_GE(ejections, 1);
  const int calls = hung.calls();
  for (unsigned i = 0; i < 100; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(hung.calls(), calls);
  EXPECT_EQ(expert->Unavailable(), std::nullopt);
}

TEST(HungExpertTest, ASilentReplicaIsFoundEvenWhenNobodyWaitsLongEnough) {
  HungExpert hung(/*alive=*/false);
  const auto expert = Remote({hung.address()}, {.probe_timeout = 100ms});
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  ASSERT_TRUE(Eventually([&] {
    std::stop_source caller;
    auto answer = AskFully(*expert, OneRow(),
                           {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()});
    caller.request_stop();
    answer.wait();
    return expert->Unavailable() == MissingReason::kEjected;
  }));
}

TEST(HungExpertTest, ASlowOneOfWhichNothingIsKnownYetIsNotEjected) {
  HungExpert slow(/*alive=*/true);
  const auto expert = Remote({slow.address()});
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  std::vector<std::future<absl::StatusOr<model::ScoreBatch>>> answers;
  for (int i = 0; i < 8; ++i) answers.push_back(Ask(*expert, OneRow(), 150ms));
  for (auto& answer : answers) (void)answer.get();
  EXPECT_EQ(expert->Unavailable(), std::nullopt);
}

TEST(HungExpertTest, DeadlinesThatLeaveNoTimeAreNotItsFault) {
  ExpertServer slow({.scorer = [](std::span<const float> features, size_t rows) {
    std::this_thread::sleep_for(5ms);
    return SampleScores(features, rows);
  }});
  const auto expert = Remote({slow.address().ToString()});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  for (unsigned i = 0; i < 30; ++i) (void)Ask(*expert, OneRow(i), 1ms).get();
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST(HungExpertTest, AConnectionThatNobodyAnswersIsDown) {
  const MuteServer mute;
  ExpertServer well;
  const auto expert = Remote({mute.address(), well.address().ToString()});
  for (unsigned i = 0; i < 20; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kDown; }));
}

TEST(CancelTest, ACallThatNobodyWaitsForEndsHereAndThere) {
  HungExpert hung(/*alive=*/true);
  const auto expert = Remote({hung.address()});
  auto features = SampleFeatures(4);
  const std::weak_ptr<const core::FeatureBatch> watched = features;
  std::stop_source caller;
  auto answer = AskFully(*expert, WholeBatch(std::move(features)),
                         {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()});
  ASSERT_TRUE(Eventually([&] { return hung.calls() == 1; }));
  EXPECT_TRUE(watched.expired());  // They went with the request.
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
  caller.request_stop();
  const Scored scored = answer.get();
  EXPECT_THAT(scored.scores, StatusIs(absl::StatusCode::kCancelled, HasSubstr("nobody waits")));
  ASSERT_EQ(scored.attempts.size(), 1U);
  EXPECT_EQ(scored.attempts[0].code, absl::StatusCode::kCancelled);
  EXPECT_TRUE(Eventually([&] { return hung.cancelled() == 1; }));
  EXPECT_TRUE(Eventually([&] { return expert->Endpoints()[0].in_flight == 0; }));
}

TEST(CancelTest, ATokenThatWasStoppedBeforeEndsTheCallToo) {
  HungExpert hung(/*alive=*/true);
  const auto expert = Remote({hung.address()});
  std::stop_source caller;
  caller.request_stop();
  EXPECT_THAT(AskFully(*expert, OneRow(),
                       {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()})
                  .get()
                  .scores,
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
}

TEST(CancelTest, ManyCancelledCallsLeaveNothingBehind) {
  HungExpert hung(/*alive=*/true);
  const auto expert = Remote({hung.address()});
  ASSERT_TRUE(Eventually([&] { return expert->Endpoints()[0].state == EndpointState::kUp; }));
  std::vector<std::weak_ptr<const core::FeatureBatch>> features;
  for (unsigned i = 0; i < 400; ++i) {
    std::stop_source caller;
    auto mine = SampleFeatures(2, i);
    features.push_back(mine);
    auto answer =
        AskFully(*expert, WholeBatch(mine),
                 {.deadline = core::Clock::now() + 10min, .cancelled = caller.get_token()});
    mine.reset();
    if (i % 2 == 0) std::this_thread::yield();
    caller.request_stop();
    (void)answer.get();
  }
  EXPECT_TRUE(std::ranges::all_of(features, [](const auto& one) { return one.expired(); }));
  EXPECT_TRUE(Eventually([&] { return expert->outstanding() == 0; }));
  EXPECT_EQ(expert->Endpoints()[0].in_flight, 0U);
}

TEST(CancelTest, TheExpertDoesNotComputeWhatNobodyWaitsFor) {
  std::latch started{1};
  std::latch release{1};
  std::atomic<size_t> computed = 0;
  ExpertServer server({.scorer = [&](std::span<const float> features, size_t rows) {
    if (computed.fetch_add(rows) == 0) {
      started.count_down();
      release.wait();
    }
    return SampleScores(features, rows);
  }});
  const auto expert = Remote({server.address().ToString()});
  auto first = Ask(*expert, OneRow());
  started.wait();
  std::stop_source caller;
  auto gone = AskFully(*expert, WholeBatch(SampleFeatures(7)),
                       {.deadline = core::Clock::now() + 1h, .cancelled = caller.get_token()});
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 8; }));
  caller.request_stop();
  EXPECT_THAT(gone.get().scores, StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  ASSERT_TRUE(Eventually([&] {
    return MetricValue(server.registry(), "orchard_expert_server_abandoned_total",
                       {{"model", "default"}, {"domain", "apple"}}) == 1;
  }));
  release.count_down();
  EXPECT_THAT(first.get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return server.service().in_flight() == 0; }));
  EXPECT_EQ(computed, 1U);
}

/// Refuses or fails every call with the same status.
class RefusingExpert final : public v1::Expert::CallbackService {
 public:
  explicit RefusingExpert(grpc::StatusCode code) : code_(code) {
    host_ = *server::GrpcHost::Start({"127.0.0.1", 0}, {{v1::Expert::service_full_name(), this}});
    host_->SetServing(true);
  }
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const v1::ScoreRequest*,
                                  v1::ScoreResponse*) override {
    ++calls;
    auto* const reactor = context->DefaultReactor();
    reactor->Finish({code_, "not me"});
    return reactor;
  }
  std::string address() const { return host_->address().ToString(); }
  std::atomic<int> calls = 0;

 private:
  const grpc::StatusCode code_;
  std::unique_ptr<server::GrpcHost> host_;
};

TEST(RetryTest, WhatOneReplicaRefusesAnotherAnswers) {
  for (const auto code : {grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::INTERNAL,
                          grpc::StatusCode::UNAVAILABLE}) {
    RefusingExpert full(code);
    ExpertServer well;
    std::atomic<int> retries = 0;
    const auto expert = Remote({full.address(), well.address().ToString()},
                               {.events = {.on_retry = [&] { ++retries; }}});
    ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
    std::vector<AttemptRecord> attempts;
    for (unsigned i = 0; i < 40 && attempts.size() != 2; ++i) {
      Scored scored = AskFully(*expert, OneRow(i), Within(20s)).get();
      ASSERT_THAT(scored.scores, IsOk()) << code;
      EXPECT_EQ(scored.part_version, "7");
      attempts = std::move(scored.attempts);
    }
    ASSERT_EQ(attempts.size(), 2U) << code;
    EXPECT_EQ(attempts[0].kind, AttemptRecord::Kind::kFirst);
    EXPECT_EQ(attempts[0].endpoint, full.address());
    EXPECT_EQ(static_cast<int>(attempts[0].code), static_cast<int>(code));
    EXPECT_EQ(attempts[1].kind, AttemptRecord::Kind::kRetry);
    EXPECT_EQ(attempts[1].code, absl::StatusCode::kOk);
    EXPECT_LE(attempts[0].end, attempts[1].begin);
    EXPECT_GE(retries, 1);
  }
}

TEST(RetryTest, WhatAllRefuseIsToldAndTheBudgetBoundsTheTries) {
  RefusingExpert first(grpc::StatusCode::RESOURCE_EXHAUSTED);
  RefusingExpert second(grpc::StatusCode::RESOURCE_EXHAUSTED);
  std::atomic<int> retries = 0;
  const auto expert =
      Remote({first.address(), second.address()}, {.events = {.on_retry = [&] { ++retries; }}});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  for (unsigned i = 0; i < 100; ++i) {
    const Scored scored = AskFully(*expert, OneRow(i), Within(20s)).get();
    EXPECT_THAT(scored.scores,
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("apple at")));
    EXPECT_EQ(scored.reason, MissingReason::kOverloaded);
    // Nobody is asked twice.
    ASSERT_LE(scored.attempts.size(), 2U);
    EXPECT_NE(scored.attempts.front().endpoint,
              scored.attempts.size() == 2 ? scored.attempts.back().endpoint : "");
  }
  EXPECT_EQ(first.calls + second.calls, 100 + retries);
  EXPECT_GE(retries, 10);
  EXPECT_LE(retries, 20);
}

TEST(HedgeTest, ALateCallIsJoinedByOneToAnotherEndpointAndTheSlowerOneIsCancelled) {
  HungExpert hung(/*alive=*/true);
  ExpertServer well;
  std::map<HedgeResult, int> hedges;
  std::mutex mutex;
  const auto on_hedge = [&](HedgeResult result) {
    const std::lock_guard lock(mutex);
    ++hedges[result];
  };
  // Until it is told to hang, it answers.
  const auto expert = Remote({well.address().ToString()}, {.events = {.on_hedge = on_hedge}});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  for (unsigned i = 0; i < 200; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  expert->SetTargets({*ParseTarget(well.address().ToString()), *ParseTarget(hung.address())});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  ASSERT_TRUE(Eventually([&] {
    const Scored scored = AskFully(*expert, OneRow(), Within(20s)).get();
    EXPECT_THAT(scored.scores, IsOk());
    if (scored.attempts.size() < 2 || scored.attempts[0].endpoint != hung.address()) return false;
    EXPECT_EQ(scored.attempts[0].code, absl::StatusCode::kCancelled);
    EXPECT_EQ(scored.attempts[1].kind, AttemptRecord::Kind::kHedge);
    EXPECT_EQ(scored.attempts[1].endpoint, well.address().ToString());
    return true;
  }));
  EXPECT_TRUE(Eventually([&] { return hung.cancelled() >= 1; }));
  const std::lock_guard lock(mutex);
  EXPECT_GE(hedges[HedgeResult::kWon], 1);
}

TEST(HedgeTest, NoneWhereTheyAreOff) {
  std::atomic<int> hedges = 0;
  ExpertServer first, second;
  const auto expert =
      Remote({first.address().ToString(), second.address().ToString()},
             {.hedge = false, .events = {.on_hedge = [&](HedgeResult) { ++hedges; }}});
  for (unsigned i = 0; i < 200; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(hedges, 0);
}

TEST(ChoiceTest, EqualReplicasGetEqualSharesOneAfterTheOther) {
  ExpertServer first, second;
  const auto expert =
      Remote({first.address().ToString(), second.address().ToString()}, {.hedge = false});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  for (unsigned i = 0; i < 300; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  const double less = std::min(RowsOf(first), RowsOf(second));
  const double more = std::max(RowsOf(first), RowsOf(second));
  EXPECT_LE(more, 1.2 * less) << less << " and " << more;
}

/// A name server of the test.
class Names {
 public:
  Resolver::LookUp LookUp() {
    return [this](const std::string& host) -> absl::StatusOr<HostAddresses> {
      const std::lock_guard lock(mutex_);
      ++look_ups_;
      const auto found = hosts_.find(host);
      if (found == hosts_.end()) return absl::UnavailableError("no such host: " + host);
      return found->second;
    };
  }
  void Set(const std::string& host, HostAddresses addresses) {
    const std::lock_guard lock(mutex_);
    hosts_[host] = std::move(addresses);
  }
  void Remove(const std::string& host) {
    const std::lock_guard lock(mutex_);
    hosts_.erase(host);
  }
  int look_ups() {
    const std::lock_guard lock(mutex_);
    return look_ups_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, HostAddresses> hosts_;
  int look_ups_ = 0;
};

std::vector<std::string> AddressesOf(const RemoteExpert& expert) {
  std::vector<std::string> addresses;
  for (const auto& endpoint : expert.Endpoints()) addresses.push_back(endpoint.address);
  return addresses;
}

class NamedExpertTest : public ::testing::Test {
 protected:
  /// Servers on several addresses of loopback and one port, as the pods behind a name are.
  void SetUp() override {
    first_ = std::make_unique<ExpertServer>();
    const std::uint16_t port = first_->address().port;
    second_ = std::make_unique<ExpertServer>(ExpertServer::Options{.listen = {"127.0.0.2", port}});
    target_ = "dns:///apple.test:" + std::to_string(port);
    suffix_ = ":" + std::to_string(port);
  }

  std::unique_ptr<RemoteExpert> Named(RemoteExpertOptions options = {}) {
    options.resolver = &resolver_;
    return Remote({target_}, std::move(options));
  }

  Names names_;
  Resolver resolver_{{.interval = 20ms, .hurry = 5ms, .look_up = names_.LookUp()}};
  std::unique_ptr<ExpertServer> first_, second_;
  std::string target_, suffix_;
};

TEST_F(NamedExpertTest, EveryAddressBehindANameIsAnEndpoint) {
  names_.Set("apple.test", {"127.0.0.1", "127.0.0.2"});
  const auto expert = Named();
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  EXPECT_THAT(AddressesOf(*expert), ElementsAre("127.0.0.1" + suffix_, "127.0.0.2" + suffix_));
  for (unsigned i = 0; i < 40; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_GT(RowsOf(*first_), 0);
  EXPECT_GT(RowsOf(*second_), 0);
}

TEST_F(NamedExpertTest, AddressesComeAndGoAndAFailedLookUpKeepsThem) {
  names_.Set("apple.test", {"127.0.0.1"});
  std::atomic<int> failed = 0;
  const auto expert =
      Named({.events = {.on_look_up_failed = [&](const std::string&, const auto&) { ++failed; }}});
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  names_.Set("apple.test", {"127.0.0.1", "127.0.0.2"});
  ASSERT_TRUE(Eventually([&] { return AddressesOf(*expert).size() == 2; }));
  names_.Remove("apple.test");
  ASSERT_TRUE(Eventually([&] { return failed >= 2; }));
  EXPECT_EQ(AddressesOf(*expert).size(), 2U);
  names_.Set("apple.test", {"127.0.0.2"});
  ASSERT_TRUE(Eventually([&] { return AddressesOf(*expert).size() == 1; }));
  const double rows = RowsOf(*first_);
  for (unsigned i = 0; i < 20; ++i) ASSERT_THAT(Ask(*expert, OneRow(i)).get(), IsOk());
  EXPECT_EQ(RowsOf(*first_), rows);
}

TEST_F(NamedExpertTest, AnAddressThatVanishesFinishesWhatItHas) {
  std::latch started{1};
  std::latch release{1};
  ExpertServer busy({.scorer =
                         [&](std::span<const float> features, size_t rows) {
                           started.count_down();
                           release.wait();
                           return SampleScores(features, rows);
                         },
                     .listen = {"127.0.0.3", first_->address().port}});
  names_.Set("apple.test", {"127.0.0.3"});
  const auto expert = Named();
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  auto answer = Ask(*expert, OneRow(), 10min);
  started.wait();
  names_.Set("apple.test", {"127.0.0.1"});
  ASSERT_TRUE(Eventually(
      [&] { return AddressesOf(*expert) == std::vector<std::string>{"127.0.0.1" + suffix_}; }));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
  release.count_down();
  EXPECT_THAT(answer.get(), IsOk());
}

TEST_F(NamedExpertTest, IsLookedUpAtOnceWhenAnEndpointIsLost) {
  Resolver patient({.interval = 1h, .hurry = 1ms, .look_up = names_.LookUp()});
  names_.Set("apple.test", {"127.0.0.1"});
  RemoteExpertOptions options;
  options.resolver = &patient;
  const auto expert = Remote({target_}, std::move(options));
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  names_.Set("apple.test", {"127.0.0.2"});
  first_->Stop();
  ASSERT_TRUE(Eventually(
      [&] { return AddressesOf(*expert) == std::vector<std::string>{"127.0.0.2" + suffix_}; }));
  EXPECT_TRUE(Eventually([&] { return Ask(*expert, OneRow()).get().ok(); }));
}

TEST_F(NamedExpertTest, NewTargetsKeepTheEndpointsThatStay) {
  const std::string kept = first_->address().ToString();
  const auto expert = Remote({kept});
  ASSERT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return !expert->Endpoints()[0].part_version.empty(); }));
  expert->SetTargets({*ParseTarget(second_->address().ToString()), *ParseTarget(kept)});
  ASSERT_EQ(expert->Endpoints().size(), 2U);
  EXPECT_EQ(expert->Endpoints()[1].part_version, "7");  // It was not connected anew.
  expert->SetTargets({});
  EXPECT_EQ(expert->Unavailable(), MissingReason::kDown);
  EXPECT_THAT(Ask(*expert, OneRow()).get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("it has none")));
  expert->SetTargets({*ParseTarget(kept)});
  EXPECT_TRUE(Eventually([&] { return Ask(*expert, OneRow()).get().ok(); }));
}

TEST(EndpointsTest, TellWhatTheyServe) {
  ExpertServer server;
  const auto expert = Remote({server.address().ToString()});
  ASSERT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  ASSERT_TRUE(Eventually([&] { return !expert->Endpoints()[0].encoder_fingerprint.empty(); }));
  const RemoteExpert::EndpointInfo endpoint = expert->Endpoints()[0];
  EXPECT_EQ(endpoint.address, server.address().ToString());
  EXPECT_EQ(endpoint.state, EndpointState::kUp);
  EXPECT_EQ(endpoint.part_version, "7");
  EXPECT_EQ(endpoint.encoder_fingerprint, testing::kSampleFingerprint);
  EXPECT_EQ(endpoint.in_flight, 0U);
}

TEST(EndpointsTest, AnswersOfMoreThanFourMebibytesArrive) {
  ExpertSpec spec = SampleSpec();
  spec.classes.assign(6'000, "");
  for (size_t i = 0; i < spec.classes.size(); ++i) spec.classes[i] = std::to_string(i);
  spec.part_digest.clear();
  ExpertServer server({.spec = spec, .scorer = [](std::span<const float>, size_t rows) {
                         return absl::StatusOr<model::ScoreBatch>(model::ScoreBatch{
                             .rows = rows,
                             .classes = 6'000,
                             .log_probabilities = std::vector<float>(rows * 6'000, -8.7F),
                             .energy = std::vector<float>(rows, 0.0F)});
                       }});
  const auto expert = *RemoteExpert::Create(spec, {server.address().ToString()}, Quick());
  EXPECT_THAT(Ask(*expert, WholeBatch(SampleFeatures(250))).get(), IsOk());
}

}  // namespace
}  // namespace orchard::experts
