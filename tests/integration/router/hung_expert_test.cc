#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/classify_options.h"
#include "tests/testing/eventually.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// One expert takes every call and never answers: what it costs its own domain and the others.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::Pinned;
using testing::RunningExperts;
using testing::RunningRouter;
using testing::SilentExperts;
using namespace std::chrono_literals;

std::string Leaf() { return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, 1)); }

/// A router whose expert of one domain hangs; those of the others are well.
class HungExpertTest : public ::testing::Test {
 protected:
  static std::vector<std::string> AllDomains() { return testing::TinyModel().domains(); }

  void Start(const std::string& hung, Engine::Config config) {
    std::vector<std::string> others = AllDomains();
    std::erase(others, hung);
    well_ = std::make_unique<RunningExperts>(others);
    hung_ = std::make_unique<SilentExperts>(std::vector<std::string>{});
    config.experts = {hung + "=" + hung_->address()};
    for (const std::string& domain : others) {
      config.experts.push_back(domain + "=" + well_->address());
    }
    router_ = std::make_unique<RunningRouter>(config);
  }

  std::unique_ptr<RunningExperts> well_;
  std::unique_ptr<SilentExperts> hung_;
  std::unique_ptr<RunningRouter> router_;
};

TEST_F(HungExpertTest, CostsPicturesOfOtherDomainsNothing) {
  const std::vector<std::string> domains = AllDomains();
  Engine::Config config;
  config.pipeline.in_flight = 8;
  config.pipeline.expert_timeout = 1h;  // So that nothing but the number of rows bounds it.
  Start(domains[0], config);
  // Many pictures for the hung domain, at once: two wait (a quarter of 8), the others are told.
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  constexpr int kPictures = 30;
  std::atomic<int> refused = 0, waiting_gone = 0;
  std::stop_source callers;
  std::vector<std::string> leaves(kPictures, Leaf());
  Options pinned;
  pinned.policy = {.kind = moe::PolicyKind::kPinned, .pinned = 0};
  Pipeline& pipeline = router_->engine().pipeline();
  int started = 0;
  while (started < kPictures) {
    if (pipeline.Load().in_flight >= 6) continue;  // Room for the others.
    pipeline.Start({.model = router_->engine().models().first(),
                    .image = leaves[static_cast<size_t>(started)],
                    .options = pinned,
                    .deadline = core::Clock::now() + 1h,
                    .cancelled = callers.get_token()},
                   [&](const absl::StatusOr<Classification>& answer) {
                     (absl::IsUnavailable(answer.status()) ? refused : waiting_gone).fetch_add(1);
                   });
    ++started;
  }
  EXPECT_TRUE(orchard::testing::Eventually([&] { return refused >= kPictures - 2; }));
  hung_->WaitForCalls(1);
  for (size_t i = 1; i < domains.size(); ++i) {
    for (int n = 0; n < 5; ++n) {
      EXPECT_THAT(router_->Classify(Leaf(), Pinned(domains[i])), IsOk()) << domains[i];
    }
  }
  EXPECT_EQ(refused, kPictures - 2);
  callers.request_stop();
  EXPECT_TRUE(orchard::testing::Eventually([&] { return waiting_gone >= 2; }));
  EXPECT_EQ(pipeline.Load().in_flight, 0);
}

TEST_F(HungExpertTest, ExactGoesOnWithTheNextDomainAfterItsTime) {
  RunningRouter embedded;
  const auto first = embedded.Classify(Leaf());
  ASSERT_THAT(first, IsOk());
  const auto most = std::ranges::max_element(
      first->routing().domains(), {}, [](const v1::DomainRouting& d) { return d.probability(); });
  const std::string hung = most->domain();
  Engine::Config config;
  config.pipeline.expert_timeout = 100ms;
  config.pipeline.default_deadline = 10min;
  Start(hung, config);
  const auto answer = router_->Classify(Leaf());
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->degraded());
  EXPECT_THAT(answer->missing(), ::testing::ElementsAre(hung));
  for (const v1::DomainRouting& domain : answer->routing().domains()) {
    EXPECT_EQ(domain.missing_reason(), domain.domain() == hung ? "timeout" : "") << domain.domain();
  }
  EXPECT_NE(answer->predictions(0).domain(), hung);
}

/// Keeps the attempts of every call of every request.
class AttemptKeeper final : public Observer {
 public:
  Depth depth() const override { return Depth::kWaves; }
  bool before_answer() const override { return true; }
  void Finished(const RequestRecord& record) override {
    core::MutexLock lock(mutex_);
    for (const WaveRecord& wave : record.waves) {
      for (const CallRecord& call : wave.calls) {
        kept_.insert(kept_.end(), call.attempts->begin(), call.attempts->end());
      }
    }
  }
  std::vector<experts::AttemptRecord> Take() {
    core::MutexLock lock(mutex_);
    return std::exchange(kept_, {});
  }

 private:
  core::Mutex mutex_;
  std::vector<experts::AttemptRecord> kept_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(HungExpertTest, TheRecordNamesWhomAPictureAskedInVain) {
  const std::vector<std::string> domains = AllDomains();
  AttemptKeeper keeper;
  Engine::Config config;
  config.pipeline.expert_timeout = 1h;
  config.observers = {&keeper};
  Start(domains[0], config);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 3s);
  EXPECT_FALSE(router_->Classify(context, Leaf(), Pinned(domains[0])).ok());
  std::vector<experts::AttemptRecord> attempts;
  EXPECT_TRUE(orchard::testing::Eventually([&] {  // The caller may be first.
    attempts = keeper.Take();
    return !attempts.empty();
  }));
  ASSERT_EQ(attempts.size(), 1U);
  EXPECT_EQ(attempts[0].endpoint, hung_->address());
  EXPECT_EQ(attempts[0].kind, experts::AttemptRecord::Kind::kFirst);
  EXPECT_LT(attempts[0].begin, attempts[0].end);
  EXPECT_TRUE(attempts[0].code == absl::StatusCode::kDeadlineExceeded ||
              attempts[0].code == absl::StatusCode::kCancelled)
      << static_cast<int>(attempts[0].code);
}

TEST_F(HungExpertTest, IsLeftAloneWhenItsCallersGo) {
  const std::vector<std::string> domains = AllDomains();
  Engine::Config config;
  config.pipeline.expert_timeout = 1h;
  Start(domains[0], config);
  for (int n = 0; n < 20; ++n) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 1h);
    v1::ClassifyRequest request;
    request.set_image(Leaf());
    *request.mutable_options() = Pinned(domains[0]);
    v1::ClassifyResponse response;
    grpc::CompletionQueue queue;
    const auto call = router_->stub().AsyncClassify(&context, request, &queue);
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    hung_->WaitForCalls(n + 1);
    context.TryCancel();
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    ASSERT_TRUE(hung_->WaitForCancelled(n + 1));
  }
}

}  // namespace
}  // namespace orchard::router
