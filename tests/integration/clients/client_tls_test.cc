#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cpp/bench/load.h"
#include "clients/cpp/classify_command.h"
#include "clients/cpp/client.h"
#include "rpc/tls.h"
#include "tests/integration/clients/fake_classifier.h"
#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

namespace orchard::client {
namespace {

using ::orchard::testing::Eventually;
using ::orchard::testing::FakeClassifier;
using ::orchard::testing::Identity;
using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::orchard::testing::TestCa;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

rpc::TlsFiles Trusting(const std::filesystem::path& ca, const std::string& name = "") {
  return {.ca = ca, .cert = {}, .key = {}, .name = name};
}

class ClientTlsTest : public ::testing::Test {
 protected:
  /// A server with a certificate for `names`, which asks callers for one of `callers`.
  std::unique_ptr<FakeClassifier> Serve(const std::string& names,
                                        const std::filesystem::path& callers) {
    const Identity identity = ca_.Issue(dir_.path(), "server", TestCa::Wish{.names = names});
    auto source = rpc::TlsSource::Load({.ca = callers, .cert = identity.cert, .key = identity.key});
    EXPECT_THAT(source, IsOk());
    return std::make_unique<FakeClassifier>((*source)->ServerCredentials({}));
  }

  static absl::Status Ask(const FakeClassifier& server, rpc::TlsFiles tls) {
    Client client({.servers = {server.address()}, .timeout = 10s, .tls = std::move(tls)});
    v1::ClassifyRequest request;
    request.set_image("apple");
    return client.Classify(request).status();
  }

  orchard::testing::TempDir dir_;
  TestCa ca_{dir_.path()};
};

TEST_F(ClientTlsTest, AsksAServerThatTheAuthorityVouchesFor) {
  const auto server = Serve("IP:127.0.0.1", {});
  EXPECT_THAT(Ask(*server, Trusting(ca_.cert())), IsOk());
}

TEST_F(ClientTlsTest, TheServersNameMayBeGiven) {
  const auto server = Serve("DNS:router.example", {});
  EXPECT_THAT(Ask(*server, Trusting(ca_.cert(), "router.example")), IsOk());
  EXPECT_THAT(Ask(*server, Trusting(ca_.cert(), "other.example")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no server answers over TLS at")));
}

TEST_F(ClientTlsTest, AServerOfAnotherAuthorityIsNotAsked) {
  const auto server = Serve("IP:127.0.0.1", {});
  const TestCa other(dir_.path(), "other");
  EXPECT_THAT(Ask(*server, Trusting(other.cert())),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("over TLS")));
  EXPECT_EQ(server->calls(), 0);
}

TEST_F(ClientTlsTest, ShowsItsOwnCertificateWhereItIsAskedFor) {
  const auto server = Serve("IP:127.0.0.1", ca_.cert());
  const Identity mine = ca_.Issue(dir_.path(), "mine");
  EXPECT_THAT(Ask(*server, {.ca = ca_.cert(), .cert = mine.cert, .key = mine.key}), IsOk());
  EXPECT_THAT(Ask(*server, Trusting(ca_.cert())), Not(IsOk()));
}

TEST_F(ClientTlsTest, TakesItsOwnCertificateAnewWhenItIsRenewed) {
  TestCa of_old(dir_.path(), "old_callers");
  TestCa of_new(dir_.path(), "new_callers");
  const auto server = Serve("IP:127.0.0.1", of_new.cert());
  const Identity mine = of_old.Issue(dir_.path(), "mine");
  Client client({.servers = {server->address()},
                 .timeout = 10s,
                 .tls = {.ca = ca_.cert(), .cert = mine.cert, .key = mine.key}});
  v1::ClassifyRequest request;
  request.set_image("apple");
  EXPECT_THAT(client.Classify(request).status(), Not(IsOk()));
  of_new.Issue(dir_.path(), "mine");  // In the same files.
  EXPECT_TRUE(Eventually([&] { return client.Classify(request).ok(); }));
}

TEST_F(ClientTlsTest, AFileThatIsNotThereIsSaidOnce) {
  ClassifyCommand command;
  command.server.tls.ca = dir_.path() / "missing.pem";
  command.arguments = {"a.jpg", "b.jpg"};
  std::istringstream in;
  std::ostringstream out, err;
  EXPECT_EQ(RunClassify(command, {in, out, err, false}), kSomeFailed);
  EXPECT_THAT(err.str(), HasSubstr("missing.pem"));
  EXPECT_EQ(std::ranges::count(err.str(), '\n'), 1);
}

TEST_F(ClientTlsTest, LoadGoesOverTlsToo) {
  const auto server = Serve("IP:127.0.0.1", {});
  v1::ClassifyRequest request;
  request.set_image("apple");
  LoadPlan plan;
  plan.warm_up = 0ms;
  plan.requests = 5;
  const std::atomic<bool> interrupted = false;
  const auto result =
      Load({.servers = {server->address()}, .tls = Trusting(ca_.cert())}, plan, {request})
          .Run(interrupted);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->tally.ok, 5u);
}

}  // namespace
}  // namespace orchard::client
