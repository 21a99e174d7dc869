#include <atomic>
#include <latch>
#include <signal.h>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/mutex.h"
#include "server/grpc_host.h"
#include "server/lifecycle.h"
#include "tests/integration/server/describe_service.h"
#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using std::chrono::milliseconds;
using testing::DescribeService;

// The two client-side cures of a shutdown, each enough by itself (serving.md section 1.6).
constexpr char kHealthChecked[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": ""}})";
constexpr char kRetried[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]})";

struct Backend {
  DescribeService service;
  std::unique_ptr<GrpcHost> host;

  Backend() {
    auto started =
        GrpcHost::Start({.host = "127.0.0.1", .port = 0},
                        {{.name = v1::Classifier::service_full_name(), .service = &service}});
    EXPECT_TRUE(started.ok()) << started.status();
    if (!started.ok()) return;
    host = *std::move(started);
    host->SetServing(true);
  }
};

/// Closed-loop callers on a channel over both backends, until told to stop.
class Callers {
 public:
  Callers(const std::string& target, const std::string& service_config) {
    grpc::ChannelArguments arguments;
    arguments.SetServiceConfigJSON(service_config);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this, channel](const std::stop_token& stop) {
        const auto stub = v1::Classifier::NewStub(channel);
        while (!stop.stop_requested()) Call(*stub);
      });
    }
  }

  std::uint64_t succeeded() const { return succeeded_; }
  void Stop() { threads_.clear(); }
  std::vector<std::string> failures() {
    core::MutexLock lock(mutex_);
    return failures_;
  }

 private:
  void Call(v1::Classifier::Stub& stub) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    v1::ModelDescription response;
    const grpc::Status status = stub.DescribeModel(&context, {}, &response);
    if (status.ok()) {
      ++succeeded_;
      return;
    }
    core::MutexLock lock(mutex_);
    failures_.push_back(std::to_string(status.error_code()) + ": " + status.error_message());
  }

  std::atomic<std::uint64_t> succeeded_ = 0;
  core::Mutex mutex_;
  std::vector<std::string> failures_;
  std::vector<std::jthread> threads_;
};

class DrainTest : public ::testing::TestWithParam<const char*> {};

TEST_P(DrainTest, NoCallFailsWhileOneOfTwoServersGoes) {
  Backend stays;
  Backend goes;
  ASSERT_TRUE(stays.host && goes.host);
  Callers callers(
      "ipv4:" + stays.host->address().ToString() + "," + goes.host->address().ToString(),
      GetParam());
  ASSERT_TRUE(orchard::testing::Eventually(
      [&] { return stays.service.calls() >= 100 && goes.service.calls() >= 100; }));

  const int code =
      RunDrain(SIGTERM, {.delay = milliseconds(300),
                         .timeout = std::chrono::seconds(30),
                         .set_not_ready = [&] { goes.host->SetServing(false); },
                         .shutdown = [&](auto deadline) { return goes.host->Shutdown(deadline); }});
  const std::uint64_t before = callers.succeeded();
  EXPECT_TRUE(orchard::testing::Eventually([&] { return callers.succeeded() >= before + 100; }));
  callers.Stop();

  EXPECT_EQ(code, 0);
  EXPECT_THAT(callers.failures(), ::testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(ClientCures, DrainTest, ::testing::Values(kHealthChecked, kRetried),
                         [](const auto& param_info) {
                           return param_info.param == kRetried ? "Retry" : "HealthCheck";
                         });

}  // namespace
}  // namespace orchard::server
