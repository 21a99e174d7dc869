#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "externalscaler/externalscaler.grpc.pb.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/e2e/running_fleet.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/service_command.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

/// A router whose experts die, hang, and come back, as processes.

namespace orchard {
namespace {

using testing::ChildProcess;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::IsOk;
using ::testing::Not;
using testing::PortIn;
using namespace std::chrono_literals;

class FleetTest : public testing::RunningFleet {};

TEST_F(FleetTest, ALoneExpertThatIsKilledWhileIdleIsSeenAndSoIsItsReturn) {
  int first_port = 0;
  int second_port = 0;
  const std::vector<std::string> others(domains_.begin() + 1, domains_.end());
  auto lone = SpawnExpert({domains_[0]}, first_port);
  const auto rest = SpawnExpert(others, second_port);
  std::vector<std::string> flags;
  for (const std::string& domain : domains_) {
    const int port = domain == domains_[0] ? first_port : second_port;
    flags.insert(flags.end(), {"--expert", domain + "=127.0.0.1:" + std::to_string(port)});
  }
  SpawnRouter(flags);
  ASSERT_TRUE(Eventually([&] { return Whole(); }));
  ASSERT_TRUE(EventuallyEndpoints(domains_[0], "up", 1));

  lone.reset();  // SIGKILL, and no call says so.
  ASSERT_TRUE(EventuallyEndpoints(domains_[0], "down", 1));
  const std::string away = router_->ReadErrUntil("state=down");
  EXPECT_THAT(away, HasSubstr("event=expert_endpoint"));
  EXPECT_THAT(away, HasSubstr("domain=" + domains_[0]));
  EXPECT_THAT(away, HasSubstr("address=127.0.0.1:" + std::to_string(first_port)));
  EXPECT_THAT(away, HasSubstr("was=up"));
  const auto degraded = Classify();
  ASSERT_THAT(degraded, IsOk());
  EXPECT_TRUE(degraded->degraded());

  lone = SpawnExpert({domains_[0]}, first_port);
  ASSERT_TRUE(EventuallyEndpoints(domains_[0], "up", 1));
  const std::string back = router_->ReadErrUntil("was=down");
  EXPECT_THAT(back, HasSubstr("state=up"));
  EXPECT_THAT(back, HasSubstr("domain=" + domains_[0]));
  EXPECT_TRUE(Eventually([&] { return Whole(); }));
}

TEST_F(FleetTest, OneReplicaThatHangsIsEjectedAndComesBack) {
  int first_port = 0;
  int second_port = 0;
  const auto first = SpawnExpert(domains_, first_port);
  const auto second = SpawnExpert(domains_, second_port);
  std::vector<std::string> flags;
  for (const std::string& domain : domains_) {
    flags.insert(flags.end(), {"--expert", domain + "=127.0.0.1:" + std::to_string(first_port) +
                                               ",127.0.0.1:" + std::to_string(second_port)});
  }
  SpawnRouter(flags);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Eventually([&] { return Whole(); }));

  first->Signal(SIGSTOP);
  // Some of these are late, but all are answered: who hangs is hedged, or given up for the other
  // replica. Then all domains have found out.
  EXPECT_TRUE(Eventually([&] {
    const auto answer = Classify(testing::With(v1::DENSE), 10s);
    EXPECT_THAT(answer, IsOk());
    EXPECT_TRUE(!answer.ok() || !answer->degraded());
    const std::string metrics = Metrics();
    return std::ranges::all_of(domains_, [&](const std::string& domain) {
      return metrics.find(EndpointsLine(domain, "ejected", 1)) != std::string::npos;
    });
  }));
  EXPECT_THAT(router_->ReadErrUntil("state=ejected"),
              HasSubstr("address=127.0.0.1:" + std::to_string(first_port)));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Whole()) << i;
  const v1::ModelDescription description = Describe();
  for (const v1::DomainDescription& domain : description.domains()) {
    ASSERT_EQ(domain.endpoints_size(), 2);
    EXPECT_TRUE(domain.available());
    EXPECT_EQ(domain.endpoints(0).address(), "127.0.0.1:" + std::to_string(first_port));
    EXPECT_EQ(domain.endpoints(0).state(), "ejected");
    EXPECT_EQ(domain.endpoints(1).state(), "up");
    EXPECT_EQ(domain.endpoints(1).part_version(), domain.version());
    EXPECT_EQ(domain.endpoints(1).fingerprint(), description.encoder_fingerprint());
    EXPECT_GT(domain.endpoints(1).latency_ms(), 0.0);
    const testing::Labels labels = {{"domain", domain.name()}};
    EXPECT_GT(Metric("orchard_expert_ejections_total", labels), 0) << domain.name();
  }
  EXPECT_GT(Metric("orchard_expert_hedges_total", {{"result", "won"}}), 0);

  first->Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(Whole());
    const std::string metrics = Metrics();
    return std::ranges::all_of(domains_, [&](const std::string& domain) {
      return metrics.find(EndpointsLine(domain, "up", 2)) != std::string::npos;
    });
  }));
}

TEST_F(FleetTest, ALoneExpertThatHungIsBackWithinTwoSecondsOfItsHealth) {
  int port = 0;
  const auto expert = SpawnExpert(domains_, port);
  std::vector<std::string> flags;
  for (const std::string& domain : domains_) {
    flags.insert(flags.end(), {"--expert", domain + "=127.0.0.1:" + std::to_string(port)});
  }
  SpawnRouter(flags);
  auto best = std::chrono::steady_clock::duration::max();
  for (int round = 0; round < 3 && best > 2s; ++round) {  // A busy machine may miss one.
    ASSERT_TRUE(Eventually([&] { return Whole(); }));
    expert->Signal(SIGSTOP);
    ASSERT_TRUE(Eventually([&] {
      std::vector<std::jthread>
          callers;  // Five in vain at the same time, so that it takes one wait.
      for (int caller = 0; caller < 5; ++caller) {
        callers.emplace_back([&] {
          EXPECT_THAT(Classify(), testing::StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
        });
      }
      callers.clear();
      return Metric("orchard_expert_endpoints", {{"state", "ejected"}}) ==
             static_cast<double>(domains_.size());
    }));
    const auto healed = std::chrono::steady_clock::now();
    expert->Signal(SIGCONT);
    ASSERT_TRUE(Eventually([&] { return Whole(); }));
    best = std::min(best, std::chrono::steady_clock::now() - healed);
  }
  EXPECT_LE(best, 2s);
}

TEST_F(FleetTest, TargetsAreReadAgainOnSighup) {
  int first_port = 0;
  int second_port = 0;
  const auto first = SpawnExpert(domains_, first_port);
  const auto second = SpawnExpert(domains_, second_port);
  const testing::TempDir dir;
  const std::string file = dir / "router.toml";
  const auto write = [&](const std::string& text) { std::ofstream(file) << text; };
  const auto experts_at = [&](int port) {
    std::string list;
    for (const std::string& domain : domains_) {
      list += (list.empty() ? "\"" : ", \"") + domain + "=127.0.0.1:" + std::to_string(port) + "\"";
    }
    return "expert = [" + list + "]\n";
  };
  write(experts_at(first_port));
  SpawnRouter({"--config", file});
  ASSERT_TRUE(Eventually([&] { return Whole(); }));
  write("expert = [\"cheese=127.0.0.1:1\"]\n");
  router_->Signal(SIGHUP);
  EXPECT_THAT(router_->ReadErrUntil("event=experts_not_reloaded"), HasSubstr("cheese"));
  write(experts_at(second_port));
  router_->Signal(SIGHUP);
  EXPECT_NE(router_->ReadErrUntil("event=experts_reloaded"), "");
  EXPECT_EQ(Describe().domains(0).endpoints(0).address(),
            "127.0.0.1:" + std::to_string(second_port));
  EXPECT_TRUE(Eventually([&] { return Whole(); }));
}

TEST_F(FleetTest, AnAutoscalerIsToldOfPicturesAndOfThoseOfOtherRouters) {
  int port = 0;
  const auto expert = SpawnExpert(domains_, port);
  std::vector<std::string> flags = {"--demand-window", "3s", "--drain-delay", "0s"};
  for (const std::string& domain : domains_) {
    flags.insert(flags.end(), {"--expert", domain + "=127.0.0.1:" + std::to_string(port)});
  }
  SpawnRouter(flags);
  const std::string first = "127.0.0.1:" + std::to_string(PortIn(ready_, "grpc"));
  flags.insert(flags.end(), {"--router-peers", first});
  ChildProcess second(testing::ServiceCommand("orchard-router", model_.path(), flags));
  const std::string second_ready = second.ReadOutUntil("orchard-router ready");
  const auto scaler = externalscaler::ExternalScaler::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(PortIn(second_ready, "grpc")),
                          grpc::InsecureChannelCredentials()));

  externalscaler::ScaledObjectRef ref;
  (*ref.mutable_scalermetadata())["domain"] = domains_[0];
  externalscaler::IsActiveResponse active;
  grpc::ClientContext context;
  const auto stream = scaler->StreamIsActive(&context, ref);
  ASSERT_TRUE(stream->Read(&active));
  EXPECT_FALSE(active.result());
  ASSERT_TRUE(Whole());  // At the first router.
  ASSERT_TRUE(stream->Read(&active));
  EXPECT_TRUE(active.result());

  const std::string labels = "{domain=\"" + domains_[0] + "\",model=\"tiny\"} ";
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(Whole());
    const std::string page = Metrics();
    return page.find("orchard_expert_desired_replicas" + labels + "0\n") == std::string::npos &&
           page.find("orchard_expert_service_seconds" + labels + "0\n") == std::string::npos;
  }));
  externalscaler::GetMetricsRequest request;
  *request.mutable_scaledobjectref() = ref;
  request.set_metricname("desired-replicas");
  externalscaler::GetMetricsResponse metrics;
  grpc::ClientContext metrics_context;
  ASSERT_TRUE(scaler->GetMetrics(&metrics_context, request, &metrics).ok());
  EXPECT_GT(metrics.metricvalues(0).metricvaluefloat(), 0.0);
  EXPECT_THAT(HttpGet(PortIn(second_ready, "metrics"), "/metrics"),
              HasSubstr("orchard_router_peers{state=\"up\"} 1\n"));

  ASSERT_TRUE(stream->Read(&active));  // A window passes without a picture.
  EXPECT_FALSE(active.result());
  second.Signal(SIGTERM);
  EXPECT_FALSE(stream->Read(&active));
  EXPECT_TRUE(stream->Finish().ok()) << "so that it comes again soon";
  EXPECT_EQ(second.Wait(), 0);
}

TEST_F(FleetTest, ADomainWithoutAnExpertIsSaidAtTheStart) {
  int port = 0;
  const auto expert = SpawnExpert({domains_[0]}, port);
  SpawnRouter({"--expert", "tiny/" + domains_[0] + "=dns:///localhost:" + std::to_string(port)});
  const std::string line = router_->ReadErrUntil("event=domains_without_expert");
  for (size_t i = 1; i < domains_.size(); ++i) EXPECT_THAT(line, HasSubstr(domains_[i]));
  EXPECT_THAT(line, Not(HasSubstr(domains_[0] + ",")));
  EXPECT_TRUE(EventuallyEndpoints(domains_[0], "up", 1));
}

}  // namespace
}  // namespace orchard
