#include "rpc/tls.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/e2e/classify.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/https_get.h"
#include "tests/testing/pictures.h"
#include "tests/testing/service_command.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"
#include "tests/testing/tiny_model_folder.h"

/// Caller, router and expert as processes that know each other by certificates.

namespace orchard {
namespace {

namespace fs = std::filesystem;
using testing::BinaryPath;
using testing::ChildProcess;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::Identity;
using testing::IsOk;
using testing::PortIn;
using ::testing::StartsWith;
using testing::StatusIs;

/// A folder of files as Kubernetes mounts a secret: each a link through `..data`, which is swapped.
class Secret {
 public:
  explicit Secret(fs::path folder) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    for (const char* name : {"tls.pem", "tls.key"}) {
      fs::create_symlink(fs::path("..data") / name, folder_ / name);
    }
  }

  /// Issues an identity into a new folder and makes it the current one, in one step.
  void Renew(testing::TestCa& ca, const std::string& names) {
    const fs::path fresh = folder_ / ("..v" + std::to_string(++version_));
    fs::create_directories(fresh);
    ca.Issue(fresh, "tls", {.names = names, .end = std::chrono::hours(24 + version_)});
    fs::create_directory_symlink(fresh.filename(), folder_ / "..next");
    fs::rename(folder_ / "..next", folder_ / "..data");
  }

  std::string cert() const { return (folder_ / "tls.pem").string(); }
  std::string key() const { return (folder_ / "tls.key").string(); }

 private:
  const fs::path folder_;
  int version_ = 0;
};

class TlsProcessesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    expert_secret_.Renew(ca_, "DNS:expert.farm");
    router_secret_.Renew(ca_, "DNS:router.farm,DNS:localhost,IP:127.0.0.1");
    caller_ = ca_.Issue(dir_.path(), "caller", {.names = "DNS:caller.farm"});
  }

  std::unique_ptr<ChildProcess> Spawn(const std::string& program, const Secret& secret,
                                      const std::vector<std::string>& more) const {
    std::vector<std::string> flags = {"--tls-cert", secret.cert(),     "--tls-key",
                                      secret.key(), "--tls-client-ca", ca_.cert().string()};
    flags.insert(flags.end(), more.begin(), more.end());
    return std::make_unique<ChildProcess>(testing::ServiceCommand(program, model_.path(), flags));
  }

  void StartBoth() {
    expert_ = Spawn("orchard-expert", expert_secret_, {"--tls-client-name", "router.farm"});
    expert_ready_ = expert_->ReadOutUntil("ready");
    const std::string at = "127.0.0.1:" + std::to_string(PortIn(expert_ready_, "grpc"));
    std::vector<std::string> flags = {
        "--tls-client-name", "caller.farm",         "--expert-tls-ca",  ca_.cert().string(),
        "--expert-tls-cert", router_secret_.cert(), "--expert-tls-key", router_secret_.key(),
        "--expert-tls-name", "expert.farm",         "--drain-delay",    "0s"};
    for (const std::string& domain : domains_) {
      flags.insert(flags.end(), {"--expert", domain + "=" + at});
    }
    router_ = Spawn("orchard-router", router_secret_, flags);
    ready_ = router_->ReadOutUntil("ready");
    ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
  }

  std::unique_ptr<v1::Classifier::Stub> Stub(const Identity& identity) const {
    const auto credentials =
        rpc::ChannelCredentialsFrom({.ca = ca_.cert(), .cert = identity.cert, .key = identity.key});
    EXPECT_THAT(credentials, IsOk());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::Classifier::NewStub(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(PortIn(ready_, "grpc")), *credentials, arguments));
  }

  absl::StatusOr<v1::ClassifyResponse> Classify(v1::Classifier::Stub& stub) const {
    return testing::Classify(stub, picture_, testing::With(v1::DENSE));
  }

  /// Until a metric's line says what it should.
  static bool Becomes(const std::string& ready, const std::string& line, bool there = true) {
    return Eventually([&] {
      const std::string page = HttpGet(PortIn(ready, "metrics"), "/metrics");
      return (page.find(line) != std::string::npos) == there && !page.empty();
    });
  }

  /// The line of /metrics that begins so.
  static std::string Line(const std::string& ready, const std::string& begin) {
    const std::string page = HttpGet(PortIn(ready, "metrics"), "/metrics");
    const size_t at = page.find("\n" + begin);
    return at == std::string::npos ? "" : page.substr(at, page.find('\n', at + 1) - at);
  }

  const testing::TinyModelFolder model_;
  testing::TempDir dir_;
  testing::TestCa ca_{dir_.path()};
  Secret expert_secret_{dir_ / "expert"};
  Secret router_secret_{dir_ / "router"};
  Identity caller_;
  const std::vector<std::string> domains_ = model_.domains();
  const std::string picture_ = testing::EncodeJpeg(testing::DrawLeaf(300, 280, 3));
  std::unique_ptr<ChildProcess> expert_, router_;
  std::string expert_ready_, ready_;
};

TEST_F(TlsProcessesTest, CallerRouterAndExpertKnowEachOtherByName) {
  StartBoth();
  const auto answer = Classify(*Stub(caller_));
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->degraded());  // The experts took the router's certificate.
  const Identity stranger = ca_.Issue(dir_.path(), "stranger", {.names = "DNS:stranger.farm"});
  EXPECT_THAT(Classify(*Stub(stranger)), StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
  EXPECT_NE(router_->ReadErrUntil("event=tls_caller_refused names=stranger.farm"), "");
  EXPECT_NE(Line(ready_, "orchard_tls_certificate_not_after_seconds{use=\"server\"} "), "");
  EXPECT_NE(Line(ready_, "orchard_tls_certificate_not_after_seconds{use=\"client_ca\"} "), "");
  EXPECT_NE(Line(ready_, "orchard_tls_certificate_not_after_seconds{use=\"expert\"} "), "");
  EXPECT_NE(Line(ready_, "orchard_tls_certificate_not_after_seconds{use=\"expert_ca\"} "), "");
}

TEST_F(TlsProcessesTest, RenewedUnderTrafficNoCallIsLostAndABadRenewalChangesNothing) {
  StartBoth();
  std::atomic<bool> done = false;
  std::atomic<int> answered = 0;
  std::atomic<int> lost = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      auto stub = Stub(caller_);
      for (int call = 1; !done; ++call) {
        if (call % 5 == 0) stub = Stub(caller_);  // Handshakes as well.
        const auto answer = Classify(*stub);
        ++(answer.ok() && !answer->degraded() ? answered : lost);
      }
    });
  }
  const auto await = [&](int more) {
    const int goal = answered + more;
    return Eventually([&] { return answered >= goal; });
  };
  EXPECT_TRUE(await(5));
  const std::string gauge = "orchard_tls_certificate_not_after_seconds{use=\"server\"} ";
  const std::string router_before = Line(ready_, gauge);
  const std::string expert_before = Line(expert_ready_, gauge);
  router_secret_.Renew(ca_, "DNS:router.farm,DNS:localhost,IP:127.0.0.1");
  expert_secret_.Renew(ca_, "DNS:expert.farm");
  router_->Signal(SIGHUP);
  expert_->Signal(SIGHUP);
  EXPECT_TRUE(Becomes(ready_, router_before, false));
  EXPECT_TRUE(Becomes(expert_ready_, expert_before, false));
  const auto is_shown = [](const std::string& ready, const fs::path& cert) {
    return Eventually([&] { return testing::ShowsCertificate(PortIn(ready, "grpc"), cert); });
  };
  EXPECT_TRUE(is_shown(ready_, router_secret_.cert()));
  EXPECT_TRUE(is_shown(expert_ready_, expert_secret_.cert()));
  EXPECT_TRUE(await(20));

  fs::resize_file(router_secret_.cert(), 100);
  router_->Signal(SIGHUP);
  EXPECT_TRUE(Becomes(ready_, "\norchard_tls_reload_failures_total{use=\"server\"} 1"));
  // That nothing comes of it: gRPC looks at certificates once a second, so between two looks that
  // the expert is seen to make the router has made one.
  for (int look = 0; look < 2; ++look) {
    expert_secret_.Renew(ca_, "DNS:expert.farm");
    expert_->Signal(SIGHUP);
    EXPECT_TRUE(is_shown(expert_ready_, expert_secret_.cert()));
  }
  EXPECT_TRUE(await(20));
  done = true;
  callers.clear();
  EXPECT_EQ(lost, 0);
  router_->Signal(SIGTERM);
  EXPECT_EQ(router_->Wait(), 0);
}

/// `program` serves `path` on the port that its ready line calls `name` over TLS only, and to
/// everybody: it asks for no certificate, though callers of its gRPC port must show one.
void ExpectPageOverTls(const std::string& ready, const std::string& name, const std::string& path,
                       const std::string& ca) {
  const std::uint16_t port = PortIn(ready, name);
  const testing::HttpsAnswer page = testing::HttpsAsk(port, path, ca);
  EXPECT_THAT(page.text, StartsWith("HTTP/1.1 200")) << ready;
  EXPECT_FALSE(page.asked_who_we_are) << ready;
  EXPECT_EQ(HttpGet(port, path), "") << ready;
  EXPECT_TRUE(testing::HttpsAsk(PortIn(ready, "grpc"), "/", ca).asked_who_we_are) << ready;
}

TEST_F(TlsProcessesTest, PagesAreServedOverTlsToThoseWhoHaveNoCertificate) {
  router_ = Spawn("orchard-router", router_secret_, {"--http-tls", "--metrics-tls"});
  const std::string router = router_->ReadOutUntil("ready");
  ExpectPageOverTls(router, "http", "/readyz", ca_.cert());
  ExpectPageOverTls(router, "metrics", "/metrics", ca_.cert());
  expert_ = Spawn("orchard-expert", expert_secret_, {"--metrics-tls"});
  const std::string expert = expert_->ReadOutUntil("ready");
  ExpectPageOverTls(expert, "metrics", "/metrics", ca_.cert());
  ExpectPageOverTls(expert, "metrics", "/readyz", ca_.cert());
}

TEST_F(TlsProcessesTest, OnePageOverTlsLeavesTheOtherInTheClear) {
  router_ = Spawn("orchard-router", router_secret_, {"--metrics-tls"});
  const std::string router = router_->ReadOutUntil("ready");
  ExpectPageOverTls(router, "metrics", "/metrics", ca_.cert());
  EXPECT_THAT(HttpGet(PortIn(router, "http"), "/readyz"), StartsWith("HTTP/1.1 200"));
}

TEST_F(TlsProcessesTest, WithWrongFilesItDoesNotStartAndSaysWhich) {
  const Identity old = ca_.Issue(dir_.path(), "old",
                                 {.begin = std::chrono::hours(-9), .end = std::chrono::hours(-1)});
  const Identity other = ca_.Issue(dir_.path(), "other");
  struct Case {
    std::vector<std::string> flags;
    std::string named, why;
  };
  const std::vector<Case> cases = {
      {{"--tls-cert", old.cert, "--tls-key", old.key}, old.cert, "expired at"},
      {{"--tls-cert", other.cert, "--tls-key", old.key}, old.key, "is not the key of"},
      {{"--tls-cert", "/none.pem", "--tls-key", old.key}, "/none.pem", "no such file"},
      {{"--tls-cert", other.cert, "--tls-key", other.key, "--tls-client-ca", other.key},
       other.key,
       "holds no certificate"},
  };
  for (const char* program : {"orchard-router", "orchard-expert"}) {
    for (const Case& one : cases) {
      std::vector<std::string> command = {BinaryPath(program), "--listen", "127.0.0.1:0",
                                          "--metrics-listen", "127.0.0.1:0"};
      command.insert(command.end(), one.flags.begin(), one.flags.end());
      ChildProcess child(command);
      EXPECT_THAT(child.ReadErrUntil(one.named), HasSubstr(one.why)) << program;
      EXPECT_EQ(child.Wait(), 1) << program;
    }
  }
  ChildProcess router(
      testing::ServiceCommand("orchard-router", model_.path(), {"--expert-tls-ca", old.cert}));
  EXPECT_THAT(router.ReadErrUntil(old.cert), HasSubstr("expired at"));
  EXPECT_EQ(router.Wait(), 1);
}

}  // namespace
}  // namespace orchard
