// Experts whose certificates have a name, behind addresses that nobody has a certificate for.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/remote_expert.h"
#include "rpc/tls.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/eventually.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using testing::Eventually;
using testing::IsOk;
using testing::SampleFeatures;
using testing::SampleSpec;
using testing::WholeBatch;

class TlsExpertTest : public ::testing::Test {
 protected:
  /// A server on 127.0.0.1 whose certificate knows its name only.
  void SetUp() override {
    const auto identity =
        ca_.Issue(folder_.path(), "server", {.names = "DNS:apple.test,DNS:localhost"});
    const auto source = rpc::TlsSource::Load({.cert = identity.cert, .key = identity.key});
    ASSERT_THAT(source, IsOk());
    server_ = std::make_unique<ExpertServer>(
        ExpertServer::Options{.credentials = (*source)->ServerCredentials({})});
    port_ = ":" + std::to_string(server_->address().port);
  }

  std::unique_ptr<RemoteExpert> Remote(const std::string& target, std::string name = "") {
    auto credentials = rpc::ChannelCredentialsFrom({.ca = ca_.cert(), .name = std::move(name)});
    EXPECT_THAT(credentials, IsOk());
    RemoteExpertOptions options;
    options.credentials = *credentials;
    options.resolver = &resolver_;
    options.initial_backoff = 50ms;
    options.tend_interval = 5ms;
    auto expert = RemoteExpert::Create(SampleSpec(), {target + port_}, std::move(options));
    EXPECT_THAT(expert, IsOk());
    return *std::move(expert);
  }

  testing::TempDir folder_;
  testing::TestCa ca_{folder_.path()};
  Resolver resolver_{{.look_up = [](const std::string&) { return HostAddresses{"127.0.0.1"}; }}};
  std::unique_ptr<ExpertServer> server_;
  std::string port_;
};

TEST_F(TlsExpertTest, TheCertificateIsForTheNameAndNotForTheAddressesBehindIt) {
  const auto expert = Remote("dns:///apple.test");
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  EXPECT_EQ(expert->Endpoints()[0].address, "127.0.0.1" + port_);
  EXPECT_THAT(Ask(*expert, WholeBatch(SampleFeatures(1))).get(), IsOk());
}

TEST_F(TlsExpertTest, AnotherNameIsNotBelieved) {
  const auto expert = Remote("dns:///pear.test");
  EXPECT_TRUE(Eventually([&] {
    const auto endpoints = expert->Endpoints();
    return endpoints.size() == 1 && endpoints[0].state == EndpointState::kDown;
  }));
}

TEST_F(TlsExpertTest, ANameThatWasSetIsTheOneThatCounts) {
  const auto expert = Remote("dns:///pear.test", "apple.test");
  ASSERT_THAT(expert->Warm(core::Clock::now() + 20s), IsOk());
  EXPECT_THAT(Ask(*expert, WholeBatch(SampleFeatures(1))).get(), IsOk());
}

}  // namespace
}  // namespace orchard::experts
