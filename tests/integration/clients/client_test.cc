#include "clients/cpp/client.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
