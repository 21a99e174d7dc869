#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/e2e/classify.h"
#include "tests/e2e/fleet_processes.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/metrics_page.h"
#include "tests/testing/pictures.h"
#include "tests/testing/service_command.h"
#include "tests/testing/silent_port.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model_folder.h"

/// A domain that is scaled to zero, as processes: its expert is started when a picture waits for
/// it, and stopped again.

namespace orchard {
namespace {

using testing::ChildProcess;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::IsOk;
using testing::PortIn;

class ColdStartProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::string(ORCHARD_SANITIZE) != "") GTEST_SKIP() << "sanitizers want to be loaded first";
  }

  /// A router that lets pictures wait so long for the first domain, which has no address.
  void Start(const std::string& cold_start_wait) {
    int any_port = 0;
    others_ = testing::SpawnExpert(model_.path(), {domains_.begin() + 1, domains_.end()}, any_port);
    std::vector<std::string> flags = {
        "--expert",          domains_[0] + "=dns:///fruit.late:" + std::to_string(port_),
        "--dns-interval",    "1h",
        "--cold-start-wait", cold_start_wait,
        "--demand-window",   "10min"};
    for (size_t i = 1; i < domains_.size(); ++i) {
      flags.insert(flags.end(),
                   {"--expert", domains_[i] + "=127.0.0.1:" + std::to_string(any_port)});
    }
    router_ = std::make_unique<ChildProcess>(
        testing::ServiceCommand("orchard-router", model_.path(), flags),
        std::vector<std::string>{"LD_PRELOAD=" ORCHARD_LATE_NAMES,
                                 "LATE_NAMES=" + names_.path().string()});
    ready_ = router_->ReadOutUntil("orchard-router ready");
    ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
    stub_ = testing::StubOf(ready_);
  }

  bool AwaitHeld(int pictures) const {
    const std::string line = "orchard_cold_waiting{domain=\"" + domains_[0] +
                             "\",model=\"tiny\"} " + std::to_string(pictures) + "\n";
    return Eventually([&] {
      return HttpGet(PortIn(ready_, "metrics"), "/metrics").find(line) != std::string::npos;
    });
  }

  /// Until the router knows no address of the domain any more.
  bool AwaitNoEndpoint() const {
    return Eventually([&] {
      v1::DescribeModelRequest request;
      request.set_endpoints(true);
      grpc::ClientContext context;
      v1::ModelDescription description;
      return stub_->DescribeModel(&context, request, &description).ok() &&
             description.domains(0).endpoints_size() == 0;
    });
  }

  std::future<absl::StatusOr<v1::ClassifyResponse>> Begin() {
    return std::async(std::launch::async, [this] {
      return testing::Classify(*stub_, picture_, testing::With(v1::DENSE),
                               std::chrono::seconds(600));
    });
  }

  const testing::TinyModelFolder model_;
  const testing::TempDir names_;
  const std::vector<std::string> domains_ = model_.domains();
  const std::string picture_ = testing::EncodeJpeg(testing::DrawLeaf(300, 280, 3));
  std::unique_ptr<testing::SilentPort> reserved_ = std::make_unique<testing::SilentPort>();
  int port_ = reserved_->port();
  std::unique_ptr<ChildProcess> others_, router_;
  std::string ready_;
  std::unique_ptr<v1::Classifier::Stub> stub_;
};

TEST_F(ColdStartProcessTest, WhereNobodyMayWaitTheDomainIsMissingAndCounted) {
  ASSERT_NO_FATAL_FAILURE(Start("0s"));
  const auto missing = [&] {
    const auto answer = testing::Classify(*stub_, picture_, testing::With(v1::DENSE));
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? answer->routing().domains(0).missing_reason() : "";
  };
  // Until the name was looked up in vain, the domain is down.
  EXPECT_TRUE(Eventually([&] { return missing() == "cold"; }));
  EXPECT_EQ(testing::SumOf(HttpGet(PortIn(ready_, "metrics"), "/metrics"), "orchard_missing_total",
                           {{"domain", domains_[0]}, {"reason", "cold"}}),
            1);
}

TEST_F(ColdStartProcessTest, AnExpertThatIsStartedForAPictureAnswersIt) {
  ASSERT_NO_FATAL_FAILURE(Start("10min"));
  EXPECT_THAT(router_->ReadErrUntil("event=expert_without_address"), HasSubstr("host=fruit.late"));
  auto held = Begin();
  EXPECT_TRUE(AwaitHeld(1));
  // As a cluster does it: the process first, and when it is ready its address.
  reserved_.reset();
  auto expert = testing::SpawnExpert(model_.path(), {domains_[0]}, port_);
  EXPECT_EQ(held.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  const std::string name = names_ / "fruit.late";
  std::ofstream(name) << "127.0.0.1\n";
  const auto answer = held.get();
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->degraded());
  EXPECT_THAT(router_->ReadErrUntil("event=cold_start"), HasSubstr("result=up"));
  EXPECT_THAT(router_->ReadErrUntil("event=classify"), HasSubstr(" cold_ms="));
  EXPECT_TRUE(AwaitHeld(0));

  // And back to nothing: a lost endpoint has its name looked up.
  std::filesystem::remove(name);
  expert.reset();
  EXPECT_TRUE(AwaitNoEndpoint());
  auto again = Begin();
  EXPECT_TRUE(AwaitHeld(1));
  expert = testing::SpawnExpert(model_.path(), {domains_[0]}, port_);
  std::ofstream(name) << "127.0.0.1\n";
  const auto second = again.get();
  ASSERT_THAT(second, IsOk());
  EXPECT_FALSE(second->degraded());
}

}  // namespace
}  // namespace orchard
