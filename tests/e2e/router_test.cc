#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/e2e/classify.h"
#include "tests/e2e/fleet_processes.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/metrics_page.h"
#include "tests/testing/pictures.h"
#include "tests/testing/service_command.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model_folder.h"

/// A router and its experts as processes.

namespace orchard {
namespace {

using testing::ChildProcess;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::IsOk;
using ::testing::Not;
using testing::PortIn;
using testing::StatusIs;
using namespace std::chrono_literals;

class ProcessesTest : public ::testing::Test {
 protected:
  /// A child that listens on ports of the system's choice. It logs, and nobody needs to read it.
  std::unique_ptr<ChildProcess> Spawn(const std::string& program,
                                      const std::vector<std::string>& more) const {
    return std::make_unique<ChildProcess>(testing::ServiceCommand(program, model_.path(), more));
  }

  std::unique_ptr<ChildProcess> SpawnRouter(const std::vector<std::string>& more) {
    auto router = Spawn("orchard-router", more);
    ready_ = router->ReadOutUntil("orchard-router ready");
    return router;
  }

  /// Starts an expert process for some of the domains and notes the router's flags for it.
  std::unique_ptr<ChildProcess> SpawnExpert(size_t from, size_t to) {
    const std::vector<std::string> domains(domains_.begin() + static_cast<std::ptrdiff_t>(from),
                                           domains_.begin() + static_cast<std::ptrdiff_t>(to));
    int port = 0;
    auto expert = testing::SpawnExpert(model_.path(), domains, port);
    for (const std::string& domain : domains) {
      expert_flags_.insert(expert_flags_.end(),
                           {"--expert", domain + "=127.0.0.1:" + std::to_string(port)});
    }
    return expert;
  }

  std::unique_ptr<v1::Classifier::Stub> Stub() const { return testing::StubOf(ready_); }

  absl::StatusOr<v1::ClassifyResponse> Classify(v1::Classifier::Stub& stub, v1::Policy policy,
                                                std::chrono::seconds deadline = 60s) const {
    return testing::Classify(stub, picture_, testing::With(policy), deadline);
  }

  const testing::TinyModelFolder model_;
  const std::vector<std::string> domains_ = model_.domains();
  std::string picture_ = testing::EncodeJpeg(testing::DrawLeaf(300, 280, 3));
  std::vector<std::string> expert_flags_;
  std::string ready_;  ///< the router's ready line
};

TEST_F(ProcessesTest, AStoppedExpertCostsThePicturesOfOtherDomainsNothing) {
  const auto hung = SpawnExpert(0, 1);
  const auto well = SpawnExpert(1, domains_.size());
  std::vector<std::string> flags = expert_flags_;
  flags.insert(flags.end(), {"--in-flight", "16"});
  const auto router = SpawnRouter(flags);
  ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
  const auto stub = Stub();
  const auto pinned = [&](const std::string& domain) {
    return testing::Classify(*stub, picture_, testing::Pinned(domain)).status();
  };
  ASSERT_THAT(pinned(domains_[0]), IsOk());
  hung->Signal(SIGSTOP);
  std::atomic<bool> stop = false;
  std::atomic<int> for_the_hung = 0;
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller) {  // Of 16 places, 4 are the most it may hold.
      callers.emplace_back([&] {
        while (!stop) {
          EXPECT_THAT(pinned(domains_[0]),
                      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no expert answered")));
          ++for_the_hung;
        }
      });
    }
    EXPECT_TRUE(testing::Eventually([&] { return for_the_hung >= 20; }));
    for (int n = 0; n < 10; ++n) {
      for (size_t i = 1; i < domains_.size(); ++i) EXPECT_THAT(pinned(domains_[i]), IsOk());
    }
    stop = true;
  }
  const auto degraded = Classify(*stub, v1::DENSE);
  ASSERT_THAT(degraded, IsOk());
  EXPECT_THAT(degraded->missing(), ::testing::ElementsAre(domains_[0]));
  EXPECT_NE(router->ReadErrUntil("degraded=true missing=" + domains_[0] + ":"), "");
  const std::string metrics = HttpGet(PortIn(ready_, "metrics"), "/metrics");
  // Eight callers, and it may hold four: some waited, and the others were told at once.
  const auto missing = [&](const std::string& domain, const std::string& reason) {
    return testing::SumOf(metrics, "orchard_missing_total",
                          {{"domain", domain}, {"reason", reason}});
  };
  EXPECT_GT(missing(domains_[0], "timeout"), 0);
  EXPECT_GT(missing(domains_[0], "overloaded"), 0);
  EXPECT_EQ(missing(domains_[0], "down"), 0);
  EXPECT_EQ(testing::SumOf(metrics, "orchard_missing_total"),
            testing::SumOf(metrics, "orchard_missing_total", {{"domain", domains_[0]}}));
  router->Signal(SIGTERM);
  EXPECT_EQ(router->Wait(), 0);
}

TEST_F(ProcessesTest, AKilledExpertDegradesTheAnswerAndTheRouterStaysReady) {
  const auto first = SpawnExpert(0, 2);
  auto second = SpawnExpert(2, domains_.size());
  const auto router = SpawnRouter(expert_flags_);
  ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
  const auto stub = Stub();
  const auto whole = Classify(*stub, v1::DENSE);
  ASSERT_THAT(whole, IsOk());
  EXPECT_FALSE(whole->degraded());

  second.reset();  // SIGKILL
  const auto degraded = Classify(*stub, v1::DENSE);
  ASSERT_THAT(degraded, IsOk());
  EXPECT_TRUE(degraded->degraded());
  EXPECT_EQ(degraded->missing_size(), static_cast<int>(domains_.size()) - 2);
  EXPECT_LT(degraded->coverage(), 1.0);
  EXPECT_THAT(HttpGet(PortIn(ready_, "http"), "/readyz"), HasSubstr("200"));
  const std::string metrics = HttpGet(PortIn(ready_, "metrics"), "/metrics");
  EXPECT_THAT(metrics, HasSubstr("orchard_degraded_total{model=\"tiny\"} 1"));
  EXPECT_EQ(testing::SumOf(metrics, "orchard_missing_total", {{"reason", "down"}}),
            degraded->missing_size());
  EXPECT_THAT(metrics, HasSubstr("orchard_requests_total{code=\"OK\",method=\"Classify\"} 2"));
  router->Signal(SIGTERM);
  EXPECT_EQ(router->Wait(), 0);
}

TEST_F(ProcessesTest, SigtermUnderTrafficLosesNoRequest) {
  // Long enough for callers on a busy machine to notice, and to get what they have begun.
  const auto router = SpawnRouter({"--drain-delay", "3s"});
  ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
  std::atomic<int> answered = 0;
  std::atomic<bool> draining = false;
  std::atomic<bool> lost = false;
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        const auto stub = Stub();
        // As a load balancer would: while it is ready, and what was begun then must be answered.
        while (!draining) {
          const auto answer = Classify(*stub, v1::EXACT);
          if (!answer.ok()) {
            lost = true;
            ADD_FAILURE() << answer.status();
            return;
          }
          ++answered;
        }
      });
    }
    EXPECT_TRUE(testing::Eventually([&] { return answered >= 20 || lost; }));
    router->Signal(SIGTERM);
    // Traffic goes on until the world has noticed that it is not ready any more.
    EXPECT_TRUE(testing::Eventually([&] {
      return HttpGet(PortIn(ready_, "http"), "/readyz").find("503") != std::string::npos;
    }));
    draining = true;
  }
  EXPECT_EQ(router->Wait(), 0);
  EXPECT_FALSE(router->killed_by_signal());
  EXPECT_GE(answered, 20);
}

/// A call that is in progress at an expert, which does not answer: the process is stopped.
class StoppedExpertTest : public ProcessesTest {
 protected:
  void StartBoth(const std::vector<std::string>& router_flags) {
    expert_ = SpawnExpert(0, domains_.size());
    std::vector<std::string> flags = expert_flags_;
    flags.insert(flags.end(), {"--drain-delay", "0s"});
    flags.insert(flags.end(), router_flags.begin(), router_flags.end());
    router_ = SpawnRouter(flags);
    ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
    stub_ = Stub();
    ASSERT_THAT(Classify(*stub_, v1::DENSE), IsOk());
  }

  void BeginCall(const std::vector<std::string>& router_flags) {
    StartBoth(router_flags);
    expert_->Signal(SIGSTOP);
    answer_ = std::async(std::launch::async, [this] {
      return Classify(*stub_, v1::DENSE, /*deadline=*/std::chrono::hours(1));
    });
    AwaitInFlight(1);
  }

  /// Until so many requests are in progress.
  void AwaitInFlight(int requests) const {
    const std::string line = "orchard_in_flight " + std::to_string(requests) + "\n";
    ASSERT_TRUE(Eventually([&] {
      return HttpGet(PortIn(ready_, "metrics"), "/metrics").find(line) != std::string::npos;
    })) << "never "
        << line;
  }

  std::unique_ptr<ChildProcess> expert_;
  std::unique_ptr<ChildProcess> router_;
  std::unique_ptr<v1::Classifier::Stub> stub_;
  std::future<absl::StatusOr<v1::ClassifyResponse>> answer_;
};

TEST_F(StoppedExpertTest, ADrainThatIsCutEndsTheRouterLongBeforeTheCallsDeadline) {
  BeginCall({"--drain-timeout", "100ms"});
  router_->Signal(SIGTERM);
  EXPECT_EQ(router_->Wait(), 0);
  EXPECT_THAT(answer_.get(), Not(IsOk()));
}

TEST_F(StoppedExpertTest, ACallInProgressWhenTheServerShutsDownIsAnswered) {
  BeginCall({"--drain-timeout", "10min"});
  router_->Signal(SIGTERM);
  ASSERT_NE(router_->ReadErrUntil("event=drain_shutdown in_flight=1"), "");
  expert_->Signal(SIGCONT);
  const auto answer = answer_.get();
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->degraded());
  EXPECT_EQ(router_->Wait(), 0);
}

TEST_F(StoppedExpertTest, PicturesInProgressOnAStreamAreAnsweredBeforeItEnds) {
  constexpr int kPictures = 3;
  StartBoth({"--drain-timeout", "10min", "--default-deadline", "10min"});
  expert_->Signal(SIGSTOP);
  grpc::ClientContext context;
  const auto stream = stub_->ClassifyStream(&context);
  for (int i = 0; i < kPictures; ++i) {
    v1::ClassifyStreamRequest request;
    request.set_id(std::to_string(i));
    request.mutable_request()->set_image(picture_);
    ASSERT_TRUE(stream->Write(request));
  }
  AwaitInFlight(kPictures);
  router_->Signal(SIGTERM);
  ASSERT_NE(router_->ReadErrUntil("event=drain_shutdown in_flight=3"), "");
  expert_->Signal(SIGCONT);
  v1::ClassifyStreamResponse answer;
  for (int i = 0; i < kPictures; ++i) {
    ASSERT_TRUE(stream->Read(&answer));
    EXPECT_TRUE(answer.has_response()) << answer.error().message();
  }
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(router_->Wait(), 0);
}

TEST_F(ProcessesTest, AnIdleStreamDoesNotHoldTheDrainUp) {
  const auto router = SpawnRouter({"--drain-delay", "0s", "--drain-timeout", "10min"});
  const auto stub = Stub();
  grpc::ClientContext context;
  const auto stream = stub->ClassifyStream(&context);
  v1::ClassifyStreamRequest request;
  request.mutable_request()->set_image(picture_);
  ASSERT_TRUE(stream->Write(request));
  v1::ClassifyStreamResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  router->Signal(SIGTERM);
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(router->Wait(), 0);
}

TEST_F(ProcessesTest, AnUnknownDomainIsAStartupFaultThatNamesTheKnownOnes) {
  const auto router = Spawn("orchard-router", {"--expert", "cheese=127.0.0.1:1"});
  const std::string line = router->ReadErrUntil("cheese");
  for (const std::string& domain : domains_) EXPECT_THAT(line, HasSubstr(domain));
  EXPECT_EQ(router->Wait(), 1);
}

class BrokenModelTest
    : public ProcessesTest,
      public ::testing::WithParamInterface<std::pair<testing::TinyPart, testing::TinyFault>> {};

TEST_P(BrokenModelTest, TheRouterDoesNotStartAndSaysWhichFile) {
  ASSERT_THAT(testing::BreakTinyModel(model_ / "1", GetParam().first, GetParam().second), IsOk());
  const auto router = Spawn("orchard-router", {});
  EXPECT_THAT(router->ReadErrUntil("orchard-router: "), HasSubstr(model_.path().string()));
  EXPECT_EQ(router->Wait(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BrokenModelTest,
    ::testing::Values(std::pair(testing::TinyPart::kEncoder, testing::TinyFault::kMissingFile),
                      std::pair(testing::TinyPart::kEncoder, testing::TinyFault::kWrongChecksum),
                      std::pair(testing::TinyPart::kGates, testing::TinyFault::kWrongShape),
                      std::pair(testing::TinyPart::kFirstExpert,
                                testing::TinyFault::kTruncatedFile)));

TEST_F(ProcessesTest, AMissingOrCorruptManifestIsSaidByBothPrograms) {
  const std::filesystem::path manifest = model_ / "1/manifest.json";
  const std::string whole = *core::ReadFile(manifest);
  for (const std::string program : {"orchard-router", "orchard-expert"}) {
    const std::string half = whole.substr(0, whole.size() / 2);
    for (const std::string& text :
         {half, std::string("not json"), std::string(R"({"nmae": "x"})")}) {
      ASSERT_THAT(core::WriteFile(manifest, text), IsOk());
      const auto corrupt = Spawn(program, {});
      EXPECT_THAT(corrupt->ReadErrUntil(program + ": "), HasSubstr(manifest.string())) << text;
      EXPECT_EQ(corrupt->Wait(), 1);
    }
    std::filesystem::remove(manifest);
    const auto missing = Spawn(program, {});
    EXPECT_THAT(missing->ReadErrUntil(program + ": "), HasSubstr(model_.path().string()));
    EXPECT_EQ(missing->Wait(), 1);
  }
}

TEST_F(ProcessesTest, BmpIsReadWhereFormatsAllowIt) {
  const auto router = SpawnRouter({"--formats", "jpeg", "--formats", "bmp"});
  const auto stub = Stub();
  EXPECT_THAT(Classify(*stub, v1::EXACT), IsOk());
  picture_ = testing::EncodeBmp(testing::DrawLeaf(300, 280, 3));
  EXPECT_THAT(Classify(*stub, v1::EXACT), IsOk());
  picture_ = testing::EncodePng(testing::DrawLeaf(300, 280, 3));
  EXPECT_THAT(Classify(*stub, v1::EXACT),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("png")));
}

TEST_F(ProcessesTest, APortInUseIsSaid) {
  const auto first = SpawnRouter({});
  const std::string taken = "127.0.0.1:" + std::to_string(PortIn(ready_, "grpc"));
  ChildProcess second(testing::ServiceCommand("orchard-router", model_.path(), {}, taken));
  EXPECT_THAT(second.ReadErrUntil("orchard-router: "), HasSubstr(taken));
  EXPECT_EQ(second.Wait(), 1);
}

}  // namespace
}  // namespace orchard
