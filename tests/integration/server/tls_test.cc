// TLS of a real gRPC server and real channels, from files that change beneath them.
#include "rpc/tls.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/grpc_host.h"
#include "tests/integration/server/describe_service.h"
#include "tests/testing/eventually.h"
#include "tests/testing/https_get.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

namespace orchard::server {
namespace {

namespace fs = std::filesystem;
using ::orchard::testing::Eventually;
using ::orchard::testing::Identity;
using ::orchard::testing::IsOk;
using ::orchard::testing::ShowsCertificate;
using ::orchard::testing::TempDir;
using ::orchard::testing::TestCa;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::DescribeService;

class TlsHostTest : public ::testing::Test {
 protected:
  /// A server with the certificate "server"; with `client_ca` it asks callers for theirs.
  void Start(const fs::path& client_ca = {}, std::vector<std::string> names = {}) {
    server_ = ca_.Issue(dir_.path(), "server");
    const auto source = rpc::TlsSource::Load(
        {.ca = client_ca, .cert = server_.cert, .key = server_.key}, {.interval = kNever});
    ASSERT_THAT(source, IsOk());
    source_ = *source;
    const auto refused = [this](const std::string& its_names) {
      last_refused_ = its_names;
      ++refused_;
    };
    auto host = GrpcHost::Start(
        {.host = "127.0.0.1", .port = 0}, {{.name = "x", .service = &service_}}, {}, {},
        source_->ServerCredentials({.names = std::move(names), .on_refused = refused}));
    ASSERT_THAT(host, IsOk());
    host_ = *std::move(host);
    host_->SetServing(true);
  }

  std::shared_ptr<grpc::Channel> Connect(const rpc::TlsFiles& files) const {
    const auto credentials = rpc::ChannelCredentialsFrom(files);
    EXPECT_THAT(credentials, IsOk());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(host_->address().ToString(), *credentials, arguments);
  }

  /// Until gRPC has looked at what every server of this process reads its certificate from. It does
  /// once a second, so between two looks that a server of this function's own is seen to make, each
  /// other one has made one.
  void AwaitALookOfEveryServer() {
    const Identity shown = ca_.Issue(dir_.path(), "witness");
    const auto source =
        rpc::TlsSource::Load({.cert = shown.cert, .key = shown.key}, {.interval = kNever});
    ASSERT_THAT(source, IsOk());
    DescribeService service;
    const auto witness =
        GrpcHost::Start({.host = "127.0.0.1", .port = 0}, {{.name = "x", .service = &service}}, {},
                        {}, (*source)->ServerCredentials({}));
    ASSERT_THAT(witness, IsOk());
    const auto port = static_cast<std::uint16_t>((*witness)->address().port);
    for (int look = 0; look < 2; ++look) {
      ca_.Issue(dir_.path(), "witness");
      ASSERT_THAT((*source)->Reload(), IsOk());
      ASSERT_TRUE(Eventually([&] { return ShowsCertificate(port, shown.cert); }));
    }
  }

  /// Of one call.
  static grpc::StatusCode Call(const std::shared_ptr<grpc::Channel>& channel) {
    return StatusOf(channel).error_code();
  }

  static grpc::Status StatusOf(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(60));
    v1::ModelDescription response;
    return v1::Classifier::NewStub(channel)->DescribeModel(&context, {}, &response);
  }

  static constexpr milliseconds kNever = std::chrono::hours(1);
  const TempDir dir_;
  TestCa ca_{dir_.path()};
  Identity server_;
  DescribeService service_;
  std::atomic<int> refused_ = 0;
  std::string last_refused_;
  std::shared_ptr<rpc::TlsSource> source_;
  std::unique_ptr<GrpcHost> host_;
};

TEST_F(TlsHostTest, ServesThoseWhoTrustItAndNobodyElse) {
  Start();
  EXPECT_EQ(Call(Connect({.ca = ca_.cert()})), grpc::StatusCode::OK);
  const TestCa other(dir_.path(), "other");
  EXPECT_EQ(Call(Connect({.ca = other.cert()})), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(
      Call(grpc::CreateChannel(host_->address().ToString(), grpc::InsecureChannelCredentials())),
      grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsHostTest, TheServersNameIsTheHostOrTheOneThatIsAskedFor) {
  Start();
  EXPECT_EQ(Call(Connect({.ca = ca_.cert(), .name = "localhost"})), grpc::StatusCode::OK);
  EXPECT_EQ(Call(Connect({.ca = ca_.cert(), .name = "elsewhere.example"})),
            grpc::StatusCode::UNAVAILABLE);
  ca_.Issue(dir_.path(), "server", {.names = "DNS:elsewhere.example"});
  ASSERT_THAT(source_->Reload(), IsOk());
  EXPECT_TRUE(Eventually([&] {
    return Call(Connect({.ca = ca_.cert(), .name = "elsewhere.example"})) == grpc::StatusCode::OK;
  }));
  EXPECT_EQ(Call(Connect({.ca = ca_.cert()})), grpc::StatusCode::UNAVAILABLE);  // 127.0.0.1
}

TEST_F(TlsHostTest, CallersShowACertificateWithANameThatIsAllowed) {
  TestCa of_callers(dir_.path(), "callers");
  Start(of_callers.cert(), {"spiffe://farm/router", "router.example"});
  TestCa own(dir_.path(), "own");
  const Identity good = of_callers.Issue(dir_.path(), "good",
                                         {.names = "DNS:other.example,URI:spiffe://farm/router"});
  const Identity named = of_callers.Issue(dir_.path(), "named", {.names = "DNS:router.example"});
  const Identity wrong = of_callers.Issue(dir_.path(), "wrong", {.names = "DNS:evil.example"});
  const Identity foreign = own.Issue(dir_.path(), "foreign", {.names = "DNS:router.example"});
  const auto with = [this](const Identity& identity) {
    return Call(Connect({.ca = ca_.cert(), .cert = identity.cert, .key = identity.key}));
  };
  EXPECT_EQ(with(good), grpc::StatusCode::OK);
  EXPECT_EQ(with(named), grpc::StatusCode::OK);
  EXPECT_EQ(refused_, 0);
  EXPECT_EQ(with(wrong), grpc::StatusCode::UNAVAILABLE);
  EXPECT_GE(refused_, 1);
  EXPECT_EQ(last_refused_, "evil.example");
  const int before = refused_;
  EXPECT_EQ(with(foreign), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(Connect({.ca = ca_.cert()})), grpc::StatusCode::UNAVAILABLE);  // No certificate.
  EXPECT_EQ(refused_, before);  // Those had no certificate of the authority at all.
}

TEST_F(TlsHostTest, ReloadsLoseNoCallAndABadOneChangesNothing) {
  Start();
  std::atomic<bool> done = false;
  std::atomic<int> failed = 0;
  std::atomic<int> answered = 0;
  std::array<std::string, 3> why;  // the last failure of each caller
  std::vector<std::jthread> callers;
  for (std::string& mine : why) {
    callers.emplace_back([&] {
      auto channel = Connect({.ca = ca_.cert()});
      for (int call = 0; !done; ++call) {
        if (call % 10 == 0) channel = Connect({.ca = ca_.cert()});  // Handshakes as well.
        const grpc::Status status = StatusOf(channel);
        if (!status.ok()) mine = status.error_message();
        ++(status.ok() ? answered : failed);
      }
    });
  }
  const auto port = static_cast<std::uint16_t>(host_->address().port);
  const auto await = [&](int more) {
    const int goal = answered + more;
    EXPECT_TRUE(Eventually([&] { return answered >= goal; }));
  };
  const auto renew = [&] {
    ca_.Issue(dir_.path(), "server");
    EXPECT_THAT(source_->Reload(), IsOk());
    EXPECT_TRUE(Eventually([&] { return ShowsCertificate(port, server_.cert); }));
  };
  for (int i = 0; i < 3; ++i) {
    await(30);
    renew();
    await(30);
    const auto used = source_->pem();
    fs::resize_file(server_.key, 10);
    EXPECT_FALSE(source_->Reload().ok());
    EXPECT_EQ(source_->pem(), used);
    if (i == 2) AwaitALookOfEveryServer();
  }
  await(30);
  renew();
  await(30);
  done = true;
  callers.clear();
  EXPECT_EQ(failed, 0) << ::testing::PrintToString(why);
  EXPECT_GT(answered, 100);
}

TEST_F(TlsHostTest, AChannelTakesItsOwnFilesAnewToo) {
  TestCa of_old(dir_.path(), "old_callers");
  TestCa new_callers(dir_.path(), "new_callers");
  Start(new_callers.cert());
  const Identity own = of_old.Issue(dir_.path(), "router");
  const auto source = rpc::TlsSource::Load({.ca = ca_.cert(), .cert = own.cert, .key = own.key},
                                           {.interval = milliseconds(50)});
  ASSERT_THAT(source, IsOk());
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  const auto channel = grpc::CreateCustomChannel(host_->address().ToString(),
                                                 (*source)->ChannelCredentials(), arguments);
  EXPECT_EQ(Call(channel), grpc::StatusCode::UNAVAILABLE);
  new_callers.Issue(dir_.path(), "router");
  // The same channel.
  EXPECT_TRUE(Eventually([&] { return Call(channel) == grpc::StatusCode::OK; }));
}

}  // namespace
}  // namespace orchard::server
