#include "clients/cpp/bench_command.h"

#include <atomic>
#include <chrono>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "nlohmann/json.hpp"
#include "rpc/status.h"
#include "tests/integration/clients/fake_classifier.h"
#include "tests/testing/eventually.h"
#include "tests/testing/temp_dir.h"

namespace orchard::client {
namespace {

using Json = nlohmann::json;
using ::orchard::testing::DeadAddress;
using ::orchard::testing::FakeClassifier;
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class BenchCommandTest : public ::testing::Test {
 protected:
  BenchCommandTest() {
    EXPECT_TRUE(core::WriteFile(dir_.path() / "a.jpg", "apple").ok());
    command_.server.servers = {server_.address()};
    command_.server.timeout = 30s;
    command_.arguments = {dir_.path().string()};
    command_.json = true;
    command_.plan.warm_up = 0ms;
  }

  int Run() { return RunBench(command_, {in_, out_, err_, false}, interrupted_); }

  /// The result, whose counts must sum up.
  Json Result() const {
    Json run = Json::parse(out_.str());
    EXPECT_EQ(run.at("planned"), run.at("ok").get<int>() + run.at("failed").get<int>() +
                                     run.at("not_sent").get<int>() + run.at("lost").get<int>());
    EXPECT_EQ(run.at("sent"), run.at("planned").get<int>() - run.at("not_sent").get<int>());
    return run;
  }

  orchard::testing::TempDir dir_;
  FakeClassifier server_;
  BenchCommand command_;
  std::atomic<bool> interrupted_ = false;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(BenchCommandTest, AClosedLoopAsksAsOftenAsWasPlanned) {
  command_.plan.concurrency = 3;
  command_.plan.requests = 50;
  command_.plan.connections = 2;
  ASSERT_EQ(Run(), kAllDone) << err_.str();
  const Json run = Result();
  EXPECT_EQ(run.at("mode"), "closed");
  EXPECT_EQ(run.at("planned"), 50);
  EXPECT_EQ(run.at("ok"), 50);
  EXPECT_EQ(run.at("good"), 50);
  EXPECT_EQ(server_.calls(), 50);
  EXPECT_EQ(run.at("latency_ms").at("count"), 50);
}

TEST_F(BenchCommandTest, SaysHowManyExpertsWereAskedAndWhatAnAnswerTakesWithoutItsDecoding) {
  v1::ClassifyResponse answer;
  answer.mutable_timings()->set_decode_ms(.001);  // Less than any answer takes.
  for (const bool asked : {true, false, true}) {
    answer.mutable_routing()->add_domains()->set_activated(asked);
  }
  server_.set_answer(answer);
  command_.plan.requests = 1;
  ASSERT_EQ(Run(), kAllDone) << err_.str();
  const Json run = Result();
  EXPECT_EQ(run.at("experts_asked"), 2.0);
  EXPECT_EQ(run.at("without_decode_ms").at("count"), 1);
  EXPECT_THAT(run.at("latency_ms").at("max").get<double>() -
                  run.at("without_decode_ms").at("max").get<double>(),
              DoubleNear(.001, 1e-6));
}

TEST_F(BenchCommandTest, AnOpenLoopAsksWhenItIsTimeWhateverIsUnderWay) {
  server_.set_work(20ms);
  command_.plan.rate = 1'000.0;
  command_.plan.requests = 20;
  ASSERT_EQ(Run(), kAllDone) << err_.str();
  const Json run = Result();
  EXPECT_EQ(run.at("ok"), 20);
  // All were due within some 20 ms, and the server's one worker needs 400: the last one waited for
  // the others, and is charged with it (no coordinated omission), however quick this machine is.
  EXPECT_GE(run.at("latency_ms").at("max").get<double>(), 200.0);
}

TEST_F(BenchCommandTest, WhatIsPlannedIsTheSameForTheSameSeed) {
  command_.plan.rate = 400.0;
  command_.plan.duration = 250ms;
  ASSERT_EQ(Run(), kAllDone) << err_.str();
  const Json first = Result();
  out_.str("");
  ASSERT_EQ(Run(), kAllDone) << err_.str();
  EXPECT_EQ(Result().at("planned"), first.at("planned"));
  EXPECT_GT(first.at("planned"), 50);
}

TEST_F(BenchCommandTest, AboveTheMostOutstandingARequestIsNotSentAndIsCounted) {
  server_.set_silent(true);
  command_.server.timeout = 1500ms;
  command_.plan.rate = 1'000.0;
  command_.plan.requests = 40;
  command_.plan.max_outstanding = 10;
  EXPECT_EQ(Run(), kSomeFailed);
  const Json run = Result();
  EXPECT_EQ(run.at("planned"), 40);
  EXPECT_EQ(run.at("ok"), 0);
  EXPECT_GE(run.at("not_sent"), 1);
  EXPECT_EQ(run.at("errors").at("DEADLINE_EXCEEDED"), run.at("failed"));
  server_.set_silent(false);
}

TEST_F(BenchCommandTest, FailuresAreCountedByCodeAndReasonAndNotTriedAgain) {
  server_.Refuse(7, rpc::WithErrorInfo(absl::ResourceExhaustedError("full"), "OVERLOADED"));
  command_.plan.concurrency = 1;
  command_.plan.requests = 20;
  ASSERT_EQ(Run(), kAllDone);
  const Json run = Result();
  EXPECT_EQ(run.at("failed"), 7);
  EXPECT_EQ(run.at("errors"), Json::parse(R"({"RESOURCE_EXHAUSTED": 7})"));
  EXPECT_EQ(run.at("reasons"), Json::parse(R"({"OVERLOADED": 7})"));
  EXPECT_EQ(server_.calls(), 20);
  EXPECT_THAT(err_.str(), HasSubstr("the first failure said: full"));
}

TEST_F(BenchCommandTest, TheWarmUpIsCountedNowhere) {
  command_.plan.warm_up = 200ms;
  command_.plan.requests = 10;
  ASSERT_EQ(Run(), kAllDone) << err_.str();
  const Json run = Result();
  EXPECT_EQ(run.at("planned"), 10);
  EXPECT_GT(run.at("warmed_up"), 0);
  EXPECT_EQ(server_.calls(), run.at("warmed_up").get<int>() + 10);
}

TEST_F(BenchCommandTest, WhatIsUnderWayWhenItIsInterruptedIsLost) {
  server_.set_silent(true);
  command_.plan.concurrency = 4;
  std::jthread interrupt([this] {
    EXPECT_TRUE(testing::Eventually([&] { return server_.calls() >= 4; }));
    interrupted_ = true;
  });
  EXPECT_EQ(Run(), kSomeFailed);
  const Json run = Result();
  EXPECT_EQ(run.at("interrupted"), true);
  EXPECT_EQ(run.at("lost"), 4);
  server_.set_silent(false);
}

TEST_F(BenchCommandTest, ADeadServerAndAFolderWithoutPicturesAreASentence) {
  command_.server.servers = {DeadAddress()};
  EXPECT_EQ(Run(), kSomeFailed);
  EXPECT_THAT(err_.str(), HasSubstr("no server answers at " + command_.server.servers[0]));
  command_.arguments = {"missing.jpg"};
  EXPECT_EQ(Run(), kSomeFailed);
  EXPECT_THAT(err_.str(), HasSubstr("missing.jpg: no such file"));
}

}  // namespace
}  // namespace orchard::client
