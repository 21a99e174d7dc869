#include <algorithm>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/trace_context.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/e2e/expert_in_front.h"
#include "tests/e2e/running_fleet.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/metrics_page.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/service_command.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model_folder.h"

/// What a router as a process counts, logs and tells of its experts and of whom it refuses: each
/// state and reason brought about, and found where operators look for it.

namespace orchard {
namespace {

using ::testing::AllOf;
using testing::ChildProcess;
using testing::Eventually;
using testing::ExpertInFront;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::IsOk;
using testing::Pinned;
using testing::PortIn;
using testing::StatusIs;
using testing::SumOf;

/// An expert as a process, with what it said when it was ready.
struct Expert {
  explicit Expert(const std::filesystem::path& model, const std::vector<std::string>& flags = {})
      : process(testing::ServiceCommand("orchard-expert", model, flags)),
        ready(process.ReadOutUntil("ready")) {}

  std::string address() const { return "127.0.0.1:" + std::to_string(PortIn(ready, "grpc")); }
  double Metric(const std::string& name) const {
    return SumOf(HttpGet(PortIn(ready, "metrics"), "/metrics"), name);
  }

  ChildProcess process;
  std::string ready;
};

class FleetCountsTest : public testing::RunningFleet {
 protected:
  /// The router's flags: `lone` for the first domain, `others` for each of the rest.
  std::vector<std::string> Targets(const std::string& lone, const std::string& others) const {
    std::vector<std::string> flags;
    for (const std::string& domain : domains_) {
      const std::string& target = domain == domains_[0] ? lone : others;
      flags.insert(flags.end(), {"--expert", domain + "=" + target});
    }
    return flags;
  }

  /// Classifies with every expert; only the first domain is missing. Returns why.
  std::string WhyIsTheFirstMissing() {
    const auto answer = Classify();
    EXPECT_THAT(answer, IsOk());
    if (!answer.ok()) return "";
    EXPECT_THAT(answer->missing(), ::testing::ElementsAre(domains_[0]));
    return answer->routing().domains(0).missing_reason();
  }

  /// A picture for the first domain, on a thread of its own, once its expert has it.
  std::future<absl::Status> BeginPinned(const ExpertInFront& expert) {
    auto answer = std::async(std::launch::async, [this] {
      return Classify(Pinned(domains_[0]), std::chrono::seconds(600)).status();
    });
    EXPECT_TRUE(Eventually([&] { return expert.calls() == 1; }));
    return answer;
  }
};

TEST_F(FleetCountsTest, AnExpertWhoseClassesStandInAnotherOrderIsForeignAndScoresNothing) {
  const testing::TinyModelFolder other({.reversed_classes = true});
  ASSERT_EQ(other.manifest().encoder().fingerprint(), model_.manifest().encoder().fingerprint());
  const Expert well(model_.path());
  const Expert foreign(other.path());
  SpawnRouter(Targets(foreign.address(), foreign.address() + "," + well.address()));
  EXPECT_THAT(router_->ReadErrUntil("state=foreign"),
              AllOf(HasSubstr("event=expert_endpoint"), HasSubstr("address=" + foreign.address()),
                    HasSubstr("meaning")));
  for (const std::string& domain : domains_) {
    ASSERT_TRUE(EventuallyEndpoints(domain, "foreign", 1));
    EXPECT_TRUE(EventuallyEndpoints(domain, "up", domain == domains_[0] ? 0 : 1));
    EXPECT_EQ(Metric("orchard_fingerprint_mismatches_total", {{"domain", domain}}), 1) << domain;
  }
  EXPECT_EQ(WhyIsTheFirstMissing(), "foreign");
  EXPECT_EQ(Missing(domains_[0], "foreign"), 1);
  for (int i = 0; i < 20; ++i) EXPECT_THAT(Classify(Pinned(domains_[1])), IsOk());
  EXPECT_EQ(foreign.Metric("orchard_expert_server_rows_total"), 0);
  EXPECT_GE(well.Metric("orchard_expert_server_rows_total"), 20);
}

TEST_F(FleetCountsTest, AnAddressThatConnectsAndSaysNothingIsConnectingAndThenDown) {
  const testing::MuteServer mute;
  const Expert well(model_.path());
  SpawnRouter(Targets(mute.address(), well.address()));
  EXPECT_TRUE(EventuallyEndpoints(domains_[0], "connecting", 1));
  EXPECT_TRUE(EventuallyEndpoints(domains_[0], "down", 1));
  EXPECT_THAT(router_->ReadErrUntil("state=down"),
              AllOf(HasSubstr("event=expert_endpoint"), HasSubstr("domain=" + domains_[0]),
                    HasSubstr("was=connecting")));
  EXPECT_EQ(WhyIsTheFirstMissing(), "down");
  EXPECT_EQ(Missing(domains_[0], "down"), 1);
}

TEST_F(FleetCountsTest, WhatFailsIsTriedElsewhereAndWhoFailsIsEjected) {
  const Expert well(model_.path());
  const ExpertInFront failing(well.address(), ExpertInFront::Answer::kFailure);
  SpawnRouter(Targets(failing.address(), failing.address() + "," + well.address()));
  ASSERT_TRUE(EventuallyEndpoints(domains_[0], "up", 1));
  EXPECT_EQ(WhyIsTheFirstMissing(), "failed");
  const std::vector<std::string> replicated(domains_.begin() + 1, domains_.end());
  EXPECT_TRUE(Eventually([&] {
    WhyIsTheFirstMissing();
    return Missing(domains_[0], "ejected") > 0 &&
           std::ranges::all_of(replicated, [&](const std::string& domain) {
             return Metric("orchard_expert_ejections_total", {{"domain", domain}}) > 0;
           });
  }));
  EXPECT_GE(Missing(domains_[0], "failed"), 5) << "so many in a row eject";
  EXPECT_GT(Metric("orchard_expert_ejections_total", {{"domain", domains_[0]}}), 0);
  EXPECT_EQ(Metric("orchard_expert_retries_total", {{"domain", domains_[0]}}), 0) << "nobody else";
  for (const std::string& domain : replicated) {
    EXPECT_GT(Metric("orchard_expert_retries_total", {{"domain", domain}}), 0) << domain;
    for (const char* reason : {"failed", "ejected", "down"}) {
      EXPECT_EQ(Missing(domain, reason), 0) << domain << " " << reason;
    }
  }
}

TEST_F(FleetCountsTest, AnExpertWithAllTheRowsThatItMayHaveIsOverloaded) {
  const Expert well(model_.path());
  ExpertInFront late(well.address(), ExpertInFront::Answer::kLate);
  std::vector<std::string> flags = Targets(late.address(), well.address());
  flags.insert(flags.end(), {"--expert-in-flight", "1", "--expert-timeout", "1h"});
  SpawnRouter(flags);
  auto first = BeginPinned(late);
  EXPECT_EQ(WhyIsTheFirstMissing(), "overloaded");
  EXPECT_EQ(Missing(domains_[0], "overloaded"), 1);
  late.Release();
  EXPECT_THAT(first.get(), IsOk());
}

TEST_F(FleetCountsTest, AnExpertThatIsLateIsATimeout) {
  const Expert well(model_.path());
  ExpertInFront late(well.address(), ExpertInFront::Answer::kLate);
  std::vector<std::string> flags = Targets(late.address(), well.address());
  flags.insert(flags.end(), {"--expert-timeout", "300ms"});
  SpawnRouter(flags);
  ASSERT_TRUE(EventuallyEndpoints(domains_[0], "up", 1));
  const auto answer = Classify(Pinned(domains_[0]));
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnavailable, HasSubstr(domains_[0])));
  EXPECT_EQ(Missing(domains_[0], "timeout"), 1);
}

TEST_F(FleetCountsTest, WhoIsRefusedIsCountedByTheLimitAndTheUrgency) {
  const Expert well(model_.path());
  ExpertInFront late(well.address(), ExpertInFront::Answer::kLate);
  std::vector<std::string> flags = Targets(late.address(), well.address());
  flags.insert(flags.end(), {"--in-flight", "1", "--expert-timeout", "1h"});
  SpawnRouter(flags);
  EXPECT_EQ(Metric("orchard_in_flight_limit"), 1);
  auto first = BeginPinned(late);
  const auto call = [&](const std::string& priority) {
    grpc::ClientContext context;
    context.AddMetadata("x-priority", priority);
    return testing::Classify(*stub_, context, picture_, Pinned(domains_[1])).status();
  };
  EXPECT_THAT(call("interactive"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 1")));
  EXPECT_EQ(Metric("orchard_shed_total", {{"reason", "in_flight"}}), 1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(call("batch"), StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
  }
  EXPECT_EQ(Metric("orchard_shed_total", {{"reason", "batch_priority"}}), 2);
  EXPECT_THAT(call("bacth"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bacth")));
  EXPECT_EQ(Metric("orchard_shed_total"), 3);
  EXPECT_EQ(Metric("orchard_in_flight"), 1);
  late.Release();
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(call("batch"), IsOk());
}

/// The value of a trailer; empty without one.
std::string Trailer(const grpc::ClientContext& context, const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

TEST_F(FleetCountsTest, AnIdAndATraceAreInTheTrailersAndInTheLogsOfRouterAndExpert) {
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  Expert expert(model_.path(), {"--log-level", "debug"});
  SpawnRouter(Targets(expert.address(), expert.address()));
  ASSERT_TRUE(EventuallyEndpoints(domains_[0], "up", 1));
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "my-picture-7");
  context.AddMetadata("traceparent", "00-" + trace + "-00f067aa0ba902b7-01");
  ASSERT_THAT(testing::Classify(*stub_, context, picture_, Pinned(domains_[0])), IsOk());
  EXPECT_EQ(Trailer(context, "x-request-id"), "my-picture-7");
  const std::string response = Trailer(context, "traceresponse");
  ASSERT_TRUE(core::ParseTraceparent(response)) << response;
  EXPECT_THAT(response, HasSubstr(trace));
  EXPECT_THAT(response, ::testing::Not(HasSubstr("00f067aa0ba902b7"))) << "a part of our own";
  EXPECT_THAT(router_->ReadErrUntil("request_id=my-picture-7"),
              AllOf(HasSubstr("event=classify"), HasSubstr("trace_id=" + trace)));
  EXPECT_THAT(
      expert.process.ReadErrUntil("request_id=my-picture-7"),
      AllOf(HasSubstr("event=score"), HasSubstr("trace_id=" + trace), HasSubstr("model=tiny"),
            HasSubstr("domain=" + domains_[0]), HasSubstr("code=OK"), HasSubstr("rows=1")));
}

TEST_F(FleetCountsTest, ARefusalThatOnlyAnOperatorCanCureNamesModelAndDomainInTheExpertsLog) {
  Expert expert(model_.path());
  const auto stub = v1::Expert::NewStub(
      grpc::CreateChannel(expert.address(), grpc::InsecureChannelCredentials()));
  v1::ScoreRequest request;
  request.set_domain("cheese");
  request.add_callers()->set_request_id("my-picture-8");
  grpc::ClientContext context;
  v1::ScoreResponse response;
  EXPECT_EQ(stub->Score(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(expert.process.ReadErrUntil("event=score"),
              AllOf(HasSubstr("level=warning"), HasSubstr("request_id=my-picture-8"),
                    HasSubstr("model=tiny"), HasSubstr("domain=cheese"),
                    HasSubstr("code=NOT_FOUND"), HasSubstr("it serves: "), HasSubstr(domains_[0])));
}

}  // namespace
}  // namespace orchard
