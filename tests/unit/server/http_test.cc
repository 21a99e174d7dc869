#include "server/http.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/http_get.h"
#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using ::orchard::testing::HttpGet;
using ::orchard::testing::HttpRequest;
using ::orchard::testing::StatusIs;
using ::orchard::testing::TcpConnection;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kLoopback[] = "127.0.0.1";

class HttpServerTest : public ::testing::Test {
 protected:
  /// Starts on a free port and returns it.
  std::uint16_t Start() {
    const absl::StatusOr<Address> bound = server_.Start({.host = kLoopback, .port = 0});
    EXPECT_TRUE(bound.ok()) << bound.status();
    return bound.ok() ? bound->port : std::uint16_t{0};
  }

  HttpServer server_;
};

TEST_F(HttpServerTest, AnswersAPageWithItsStatusAndType) {
  server_.Get("/readyz", [] {
    return HttpServer::Response{.status = 503, .body = "not ready\n", .content_type = "text/x"};
  });
  const std::uint16_t port = Start();
  ASSERT_NE(port, 0);
  EXPECT_THAT(HttpGet(port, "/readyz"), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("text/x"),
                                              HasSubstr("\r\n\r\nnot ready\n")));
}

TEST_F(HttpServerTest, AQueryStringDoesNotHideAPage) {
  server_.Get("/metrics", [] { return HttpServer::Response{.body = "m 1\n"}; });
  EXPECT_THAT(HttpGet(Start(), "/metrics?x=1"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, OtherPathsAre404AndOtherMethods405) {
  server_.Get("/healthz", [] { return HttpServer::Response{.body = "ok\n"}; });
  const std::uint16_t port = Start();
  EXPECT_THAT(HttpGet(port, "/etc/passwd"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(HttpGet(port, "/healthz/x"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(HttpRequest(port, "POST", "/healthz"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(HttpRequest(port, "HEAD", "/healthz"),
              AllOf(StartsWith("HTTP/1.1 200"), Not(HasSubstr("\r\n\r\nok"))));
}

TEST_F(HttpServerTest, APortInUseIsAnErrorThatNamesTheAddressAndTheReason) {
  const std::uint16_t port = Start();
  HttpServer second;
  EXPECT_THAT(
      second.Start({.host = kLoopback, .port = port}),
      StatusIs(absl::StatusCode::kUnavailable, AllOf(HasSubstr("127.0.0.1:" + std::to_string(port)),
                                                     HasSubstr("Address already in use"))));
}

TEST_F(HttpServerTest, AnUnknownHostIsAnErrorThatNamesIt) {
  EXPECT_THAT(server_.Start({.host = "192.0.2.1", .port = 0}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("192.0.2.1:0")));
}

TEST_F(HttpServerTest, StopsWhileASilentConnectionIsOpenAndRefusesAfterwards) {
  server_.Get("/healthz", [] { return HttpServer::Response{.body = "ok\n"}; });
  const std::uint16_t port = Start();
  const TcpConnection silent(port);
  ASSERT_TRUE(silent.connected());
  server_.Stop();
  server_.Stop();
  EXPECT_EQ(HttpGet(port, "/healthz"), "");
}

TEST_F(HttpServerTest, MoreConnectionsThanPlacesAreAllAnswered) {
  std::atomic<int> answered = 0;
  server_.Get("/healthz", [] { return HttpServer::Response{.body = "ok\n"}; });
  const std::uint16_t port = Start();
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 60; ++i) {
      clients.emplace_back([&] {
        if (HttpGet(port, "/healthz").find("200 OK") != std::string::npos) ++answered;
      });
    }
  }
  EXPECT_EQ(answered, 60);
}

TEST_F(HttpServerTest, NeverStartedStopsAsWell) { server_.Stop(); }

}  // namespace
}  // namespace orchard::server
