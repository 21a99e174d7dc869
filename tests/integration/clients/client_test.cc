#include "clients/cpp/client.h"

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "rpc/status.h"
#include "tests/integration/clients/fake_classifier.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/status_matchers.h"

namespace orchard::client {
namespace {

using ::orchard::testing::DeadAddress;
using ::orchard::testing::FakeClassifier;
using ::orchard::testing::IsOk;
using ::orchard::testing::MuteServer;
using ::orchard::testing::StatusIs;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

v1::ClassifyRequest Picture(const std::string& bytes) {
  v1::ClassifyRequest request;
  request.set_image(bytes);
  return request;
}

TEST(ClientTest, AnswersWithTheServersAnswer) {
  FakeClassifier server;
  Client client({.servers = {server.address()}});
  const auto answer = client.Classify(Picture("apple"));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->predictions(0).label(), "apple");
  EXPECT_EQ(client.DescribeModel()->name(), "fake");
}

TEST(ClientTest, TheNextServerIsAskedWhenNobodyListensAtTheFirst) {
  FakeClassifier server;
  Client client({.servers = {DeadAddress(), server.address()}});
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
}

TEST(ClientTest, TheNextServerIsAskedWithinTheTimeoutWhenTheFirstSaysNothing) {
  const MuteServer mute;
  FakeClassifier server;
  Client client({.servers = {mute.address(), server.address()}, .timeout = 3s});
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  EXPECT_EQ(server.calls(), 1);
}

class GoneTest : public ::testing::TestWithParam<grpc::StatusCode> {};

TEST_P(GoneTest, TheNextServerIsAskedAndThenPreferred) {
  FakeClassifier going;
  FakeClassifier staying;
  going.set_gone(GetParam());
  Client client({.servers = {going.address(), staying.address()}});
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  EXPECT_EQ(going.calls(), 1);
  EXPECT_EQ(staying.calls(), 2);
}

INSTANTIATE_TEST_SUITE_P(Codes, GoneTest,
                         ::testing::Values(grpc::StatusCode::UNAVAILABLE,
                                           grpc::StatusCode::CANCELLED));

TEST(ClientTest, AServerThatSaysNothingIsNotTheNextCallsFirst) {
  FakeClassifier silent;
  FakeClassifier staying;
  silent.set_silent(true);
  Client client({.servers = {silent.address(), staying.address()}, .timeout = 1500ms});
  EXPECT_THAT(client.Classify(Picture("apple")),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  EXPECT_EQ(silent.calls(), 1);
  silent.set_silent(false);
}

TEST(ClientTest, ABusyServerIsAskedAgainAfterTheTimeThatItAskedFor) {
  FakeClassifier server;
  server.Refuse(3, rpc::WithPushback(absl::ResourceExhaustedError("full"), 40ms));
  Client client({.servers = {server.address()}, .timeout = 30s});
  const auto begin = core::Clock::now();
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  EXPECT_EQ(server.calls(), 4);
  EXPECT_GE(core::Clock::now() - begin, 120ms);
}

TEST(ClientTest, WhenTheTimeDoesNotLastForTheWaitTheServersWordIsTheAnswer) {
  FakeClassifier server;
  server.Refuse(1, rpc::WithPushback(absl::ResourceExhaustedError("full"), 60min));
  Client client({.servers = {server.address()}, .timeout = 30s});
  const auto begin = core::Clock::now();
  EXPECT_THAT(client.Classify(Picture("apple")),
              StatusIs(absl::StatusCode::kResourceExhausted, "full"));
  EXPECT_LT(core::Clock::now() - begin, 25s);  // And at once.
  EXPECT_EQ(server.calls(), 1);
}

TEST(ClientTest, AnotherServerIsAskedAtOnceWhenOneIsBusy) {
  FakeClassifier busy;
  FakeClassifier free;
  busy.Refuse(1000, rpc::WithPushback(absl::ResourceExhaustedError("full"), 60min));
  Client client({.servers = {busy.address(), free.address()}, .timeout = 30s});
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  EXPECT_EQ(free.calls(), 1);
}

/// A router with a low --max-image-bytes: gRPC refuses before our service sees anything.
FakeClassifier OfTwoMebibytes() {
  return FakeClassifier(grpc::InsecureServerCredentials(), 2 << 20);
}

TEST(ClientTest, AMessageOverWhatTheServerReceivesIsNotSentAgainAndAgain) {
  FakeClassifier server = OfTwoMebibytes();
  Client client({.servers = {server.address()}, .timeout = 5min});
  const auto begin = core::Clock::now();
  EXPECT_THAT(client.Classify(Picture(std::string(3'000'000, 'x'))),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than max")));
  EXPECT_LT(core::Clock::now() - begin, 2min);  // And not after the time is over.
  EXPECT_EQ(server.calls(), 0);
}

TEST(ClientTest, AMessageOverWhatOneServerReceivesGoesToTheNext) {
  FakeClassifier small = OfTwoMebibytes();
  FakeClassifier large;
  Client client({.servers = {small.address(), large.address()}, .timeout = 30s});
  EXPECT_THAT(client.Classify(Picture(std::string(3'000'000, 'x'))), IsOk());
  EXPECT_EQ(large.calls(), 1);
}

class ForbiddenTest : public ::testing::TestWithParam<absl::Status> {};

TEST_P(ForbiddenTest, NobodyIsAskedAgain) {
  FakeClassifier first;
  FakeClassifier second;
  first.Refuse(1000, GetParam());
  Client client({.servers = {first.address(), second.address()}, .timeout = 30s});
  const auto answer = client.Classify(Picture("apple"));
  EXPECT_THAT(answer, StatusIs(GetParam().code(), std::string(GetParam().message())));
  EXPECT_EQ(first.calls() + second.calls(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, ForbiddenTest,
    ::testing::Values(rpc::WithErrorInfo(absl::UnavailableError("no expert answered"),
                                         rpc::kNoExpert),
                      rpc::WithPushback(absl::UnavailableError("stay away"), -1ms),
                      rpc::WithPushback(absl::ResourceExhaustedError("stay away"), -1ms)));

TEST(ClientTest, TheReasonOfAFailureComesAlong) {
  FakeClassifier server;
  server.Refuse(1, rpc::WithErrorInfo(absl::UnavailableError("none"), rpc::kNoExpert));
  Client client({.servers = {server.address()}});
  EXPECT_EQ(rpc::ErrorInfoOf(client.Classify(Picture("apple")).status())->reason, rpc::kNoExpert);
}

TEST(ClientTest, AProxyOfTheEnvironmentIsNotAsked) {
  FakeClassifier server;
  for (const char* name : {"grpc_proxy", "http_proxy", "https_proxy"}) {
    ::setenv(name, ("http://" + DeadAddress()).c_str(), 1);
  }
  Client client({.servers = {server.address()}});
  EXPECT_THAT(client.Classify(Picture("apple")), IsOk());
  for (const char* name : {"grpc_proxy", "http_proxy", "https_proxy"}) ::unsetenv(name);
}

TEST(ClientTest, ARequestThatNoMessageCanHoldIsRefusedHere) {
  EXPECT_THAT(CheckMessageSize((size_t{1} << 31) - 1), IsOk());
  EXPECT_THAT(CheckMessageSize(size_t{1} << 31),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 GiB")));
}

TEST(ClientTest, ABadPictureIsNotAskedForTwice) {
  FakeClassifier first;
  FakeClassifier second;
  Client client({.servers = {first.address(), second.address()}});
  EXPECT_THAT(client.Classify(Picture("bad")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not an image")));
  EXPECT_EQ(first.calls() + second.calls(), 1);
}

TEST(ClientTest, NobodyAnywhereIsUnavailableNamingAll) {
  const MuteServer mute;
  const std::string dead = DeadAddress();
  Client client({.servers = {dead, mute.address()}, .timeout = 300ms});
  const auto answer = client.Classify(Picture("apple"));
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnavailable,
                               "no server answers at " + dead + ", " + mute.address()));
  EXPECT_TRUE(NoServerAnswers(answer.status()));
}

TEST(ClientTest, AServerThatAnsweredBeforeIsWaitedForWhileItIsReplaced) {
  auto server = std::make_unique<FakeClassifier>();
  const std::string address = server->address();
  Client client({.servers = {address}, .timeout = 60s});
  ASSERT_THAT(client.Classify(Picture("apple")), IsOk());
  server.reset();
  auto answer =
      std::async(std::launch::async, [&client] { return client.Classify(Picture("pear")); });
  // At a server that never answered the two attempts are over after a twentieth of a second.
  ASSERT_EQ(answer.wait_for(500ms), std::future_status::timeout);
  const FakeClassifier next(grpc::InsecureServerCredentials(), 4 << 20, address);
  EXPECT_THAT(answer.get(), IsOk());
}

TEST(ClientTest, AServerThatStaysAwayIsToldWithinHalfOfTheTime) {
  auto server = std::make_unique<FakeClassifier>();
  Client client({.servers = {server->address()}, .timeout = 600ms});
  ASSERT_THAT(client.Classify(Picture("apple")), IsOk());
  server.reset();
  const auto answer = client.Classify(Picture("pear"));
  EXPECT_TRUE(NoServerAnswers(answer.status())) << answer.status();
}

TEST(ClientTest, AServerThatSaysUnavailableHasAnswered) {
  FakeClassifier going;
  going.set_gone(grpc::StatusCode::UNAVAILABLE);
  Client client({.servers = {going.address(), DeadAddress()}});
  const auto answer = client.Classify(Picture("apple"));
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnavailable, "going"));
  EXPECT_FALSE(NoServerAnswers(answer.status()));
}

}  // namespace
}  // namespace orchard::client
