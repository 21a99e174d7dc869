#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "experts/resolver.h"
#include "tests/integration/router/running_router.h"
#include "tests/testing/classify_options.h"
#include "tests/testing/eventually.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// A domain whose name has no address until the test gives it one: scaled to zero, and started when
/// a picture wants it.

namespace orchard::router {
namespace {

using orchard::testing::Eventually;
using orchard::testing::IsOk;
using orchard::testing::Pinned;
using orchard::testing::StatusIs;
using orchard::testing::With;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RunningExperts;
using testing::RunningRouter;
using namespace std::chrono_literals;

using Answer = absl::StatusOr<v1::ClassifyResponse>;

/// A name server that knows one name, or that it has no address.
class NameServer {
 public:
  experts::Resolver::LookUp LookUp() {
    return [this](const std::string& host) -> absl::StatusOr<experts::HostAddresses> {
      const std::lock_guard lock(mutex_);
      ++look_ups_;
      if (address_.empty()) return absl::NotFoundError("no such name: " + host);
      return experts::HostAddresses{address_};
    };
  }
  void Set(const std::string& address) {
    const std::lock_guard lock(mutex_);
    address_ = address;
  }
  int look_ups() {
    const std::lock_guard lock(mutex_);
    return look_ups_;
  }

 private:
  std::mutex mutex_;
  std::string address_;
  int look_ups_ = 0;
};

/// Keeps how long pictures waited for domains that were being started.
class WaitKeeper final : public Observer {
 public:
  bool before_answer() const override { return true; }
  void Finished(const RequestRecord& record) override {
    const std::lock_guard lock(mutex_);
    last_ = record.cold_wait;
  }
  core::Clock::duration last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  std::mutex mutex_;
  core::Clock::duration last_{};
};

class ColdStartRouterTest : public ::testing::Test {
 protected:
  void Start(std::chrono::milliseconds wait) {
    std::vector<std::string> others = testing::TinyModel().domains();
    cold_ = others.front();
    others.erase(others.begin());
    others_ = std::make_unique<RunningExperts>(others);
    late_ = std::make_unique<RunningExperts>(std::vector<std::string>{cold_});
    const std::string port = late_->address().substr(late_->address().find(':'));
    Engine::Config config;
    config.experts = {cold_ + "=dns:///cold.test" + port};
    for (const std::string& domain : others) {
      config.experts.push_back(domain + "=" + others_->address());
    }
    config.dns_interval = 1h;  // Nothing but somebody who waits makes it look again.
    config.look_up = names_.LookUp();
    config.cold_start_wait = wait;
    config.pipeline.default_deadline = 10min;
    config.observers = {&waits_};
    router_ = std::make_unique<RunningRouter>(config);
    EXPECT_TRUE(Eventually([&] {
      return router_->engine().models().first()->fleet().Unavailable(0) ==
             experts::MissingReason::kCold;
    }));
  }

  static std::string Leaf() {
    return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, 1));
  }

  Answer Classify(grpc::ClientContext& context, const v1::ClassifyOptions& options) {
    return router_->Classify(context, Leaf(), options);
  }
  std::future<Answer> Begin(grpc::ClientContext& context, const v1::ClassifyOptions& options) {
    return std::async(std::launch::async,
                      [this, &context, options] { return Classify(context, options); });
  }

  bool AwaitHeld(size_t pictures) {
    return Eventually([&] {
      return router_->engine().models().first()->experts().cold().waiting(0) == pictures;
    });
  }

  void ExpectCold(const Answer& answer) const {
    ASSERT_THAT(answer, IsOk());
    EXPECT_THAT(answer->missing(), ElementsAre(cold_));
    EXPECT_EQ(answer->routing().domains(0).missing_reason(), "cold");
  }

  NameServer names_;
  WaitKeeper waits_;
  std::string cold_;
  std::unique_ptr<RunningExperts> others_, late_;
  std::unique_ptr<RunningRouter> router_;
};

TEST_F(ColdStartRouterTest, WithoutAWaitTheDomainIsMissingAtOnce) {
  Start(0ms);
  grpc::ClientContext first, second;
  ExpectCold(Classify(first, With(v1::DENSE)));
  EXPECT_THAT(Classify(second, Pinned(cold_)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(cold_ + " is starting")));
  EXPECT_EQ(waits_.last(), core::Clock::duration::zero());
}

TEST_F(ColdStartRouterTest, APictureIsHeldAndAnsweredWhenTheExpertIsThere) {
  Start(10min);
  grpc::ClientContext context;
  auto answer = Begin(context, With(v1::DENSE));
  EXPECT_TRUE(AwaitHeld(1));
  const int look_ups = names_.look_ups();
  EXPECT_TRUE(Eventually([&] { return names_.look_ups() >= look_ups + 2; }));
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
  names_.Set("127.0.0.1");
  const Answer got = answer.get();
  ASSERT_THAT(got, IsOk());
  EXPECT_FALSE(got->degraded());
  EXPECT_GT(waits_.last(), core::Clock::duration::zero());
  EXPECT_TRUE(AwaitHeld(0));
  grpc::ClientContext next;
  EXPECT_THAT(Classify(next, Pinned(cold_)), IsOk());  // It is up by now.
}

TEST_F(ColdStartRouterTest, APictureIsHeldNoLongerThanItMayBe) {
  Start(100ms);
  grpc::ClientContext context;
  ExpectCold(Classify(context, With(v1::DENSE)));
  EXPECT_GE(waits_.last(), 100ms);
}

TEST_F(ColdStartRouterTest, ADeadlineThatIsShorterIsKept) {
  Start(10min);
  const std::string leaf = Leaf();
  Options dense;
  dense.policy = {.kind = moe::PolicyKind::kDense};
  std::promise<std::vector<experts::MissingReason>> missing;
  router_->engine().pipeline().Start({.model = router_->engine().models().first(),
                                      .image = leaf,
                                      .options = dense,
                                      .deadline = core::Clock::now() + 2s},
                                     [&](const absl::StatusOr<Classification>& answer) {
                                       EXPECT_THAT(answer, IsOk());
                                       std::vector<experts::MissingReason> reasons;
                                       for (const DomainRoute& route : answer->routing.domains) {
                                         if (route.missing())
                                           reasons.push_back(*route.missing_reason);
                                       }
                                       missing.set_value(std::move(reasons));
                                     });
  EXPECT_THAT(missing.get_future().get(), ElementsAre(experts::MissingReason::kCold));
}

TEST_F(ColdStartRouterTest, ACallerThatGoesIsHeldNoLonger) {
  Start(10min);
  grpc::ClientContext context;
  auto answer = Begin(context, Pinned(cold_));
  EXPECT_TRUE(AwaitHeld(1));
  context.TryCancel();
  EXPECT_FALSE(answer.get().ok());
  EXPECT_TRUE(AwaitHeld(0));
  EXPECT_TRUE(Eventually([&] { return router_->engine().pipeline().Load().in_flight == 0; }));
}

TEST_F(ColdStartRouterTest, ADrainWaitsForWhoIsHeld) {
  Start(10min);
  grpc::ClientContext context;
  auto answer = Begin(context, With(v1::DENSE));
  EXPECT_TRUE(AwaitHeld(1));
  auto drained = std::async(std::launch::async, [&] {
    return router_->host().Shutdown(std::chrono::steady_clock::now() + 10min);
  });
  EXPECT_TRUE(Eventually([&] { return !router_->host().serving(); }));
  names_.Set("127.0.0.1");
  const Answer got = answer.get();
  ASSERT_THAT(got, IsOk());
  EXPECT_FALSE(got->degraded());
  EXPECT_TRUE(drained.get());
}

TEST_F(ColdStartRouterTest, ADrainWhoseTimeIsOverCutsWhoIsHeld) {
  Start(10min);
  grpc::ClientContext context;
  auto answer = Begin(context, Pinned(cold_));
  EXPECT_TRUE(AwaitHeld(1));
  EXPECT_FALSE(router_->host().Shutdown(std::chrono::steady_clock::now() + 50ms));
  EXPECT_FALSE(answer.get().ok());
  EXPECT_TRUE(AwaitHeld(0));
  router_.reset();  // And nobody waits for ten minutes.
}

}  // namespace
}  // namespace orchard::router
