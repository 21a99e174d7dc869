#include "server/http.h"

#include <atomic>
#include <chrono>
#include <list>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/http_get.h"
#include "tests/testing/https_get.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

namespace orchard::server {
namespace {

using ::orchard::testing::HttpGet;
using ::orchard::testing::HttpRequest;
using ::orchard::testing::HttpsAsk;
using ::orchard::testing::HttpsGet;
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

/// The request is never whole: a byte at a time, for as long as the other side takes them.
class Drip {
 public:
  explicit Drip(std::uint16_t port) : connection_(port) {
    connection_.Send("GET /healthz HTTP/1.1\r\nX-A: ");
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        connection_.Send("a");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
  }

 private:
  TcpConnection connection_;
  std::jthread thread_;
};

TEST_F(HttpServerTest, PeersThatDripNeitherHideAPageNorHoldTheEndUp) {
  server_.Get("/healthz", [] { return HttpServer::Response{.body = "ok\n"}; });
  const std::uint16_t port = Start();
  std::list<Drip> drips;
  for (int i = 0; i < 20; ++i) drips.emplace_back(port);
  EXPECT_THAT(HttpGet(port, "/healthz"), StartsWith("HTTP/1.1 200"));
  server_.Stop();  // Would never come back.
}

TEST(HttpServerLimitsTest, OneDeadlineHoldsForTheWholeRequest) {
  HttpServer server(HttpServer::Options{.patience = std::chrono::milliseconds(200)});
  const absl::StatusOr<Address> bound = server.Start({.host = kLoopback, .port = 0});
  ASSERT_TRUE(bound.ok()) << bound.status();
  const TcpConnection connection(bound->port);
  std::jthread drip([&connection](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      connection.Send("G");  // Never silent for long.
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  EXPECT_EQ(connection.ReadAll(), "");  // Closed, or this waits for ever.
}

TEST(HttpServerLimitsTest, IdleConnectionsMakeRoomForOneMore) {
  HttpServer server(HttpServer::Options{.max_connections = 3, .patience = std::chrono::hours(1)});
  server.Get("/healthz", [] { return HttpServer::Response{.body = "ok\n"}; });
  const absl::StatusOr<Address> bound = server.Start({.host = kLoopback, .port = 0});
  ASSERT_TRUE(bound.ok()) << bound.status();
  std::list<TcpConnection> idle;
  for (int i = 0; i < 50; ++i) idle.emplace_back(bound->port);
  EXPECT_THAT(HttpGet(bound->port, "/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(idle.front().ReadAll(), "");  // The one that had waited longest.
}

TEST_F(HttpServerTest, NonsenseAndLongHeadersAreRefused) {
  const std::uint16_t port = Start();
  const TcpConnection nonsense(port);
  nonsense.Send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_THAT(nonsense.ReadAll(), StartsWith("HTTP/1.1 400"));
  const TcpConnection longer(port);
  longer.Send("GET / HTTP/1.1\r\nX: " + std::string(10'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(longer.ReadAll(), StartsWith("HTTP/1.1 431"));
}

TEST(HttpsTest, ShowsTheCertificateInUseAndAsksForNone) {
  const ::orchard::testing::TempDir dir;
  ::orchard::testing::TestCa ca(dir.path(), "ca");
  ::orchard::testing::TestCa other(dir.path(), "other");
  const ::orchard::testing::Identity own = ca.Issue(dir.path(), "own");
  const auto source = rpc::TlsSource::Load({.ca = ca.cert(), .cert = own.cert, .key = own.key},
                                           {.interval = std::chrono::hours(1)});
  ASSERT_TRUE(source.ok()) << source.status();
  HttpServer server(HttpServer::Options{.tls_wanted = true});
  server.Get("/healthz", [] { return HttpServer::Response{.body = "ok\n"}; });
  const absl::StatusOr<Address> bound = server.Start({.host = kLoopback, .port = 0}, *source);
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_THAT(HttpsGet(bound->port, "/healthz", ca.cert()), HasSubstr("\r\n\r\nok\n"));
  EXPECT_FALSE(HttpsAsk(bound->port, "/healthz", ca.cert()).asked_who_we_are);
  EXPECT_EQ(HttpsGet(bound->port, "/healthz", other.cert()), "");
  EXPECT_EQ(HttpGet(bound->port, "/healthz"), "");  // Not TLS.

  other.Issue(dir.path(), "own");
  ASSERT_TRUE((*source)->Reload().ok());
  EXPECT_THAT(HttpsGet(bound->port, "/healthz", other.cert()), HasSubstr("\r\n\r\nok\n"));
  const TcpConnection silent(bound->port);  // In the middle of a handshake.
  server.Stop();
}

TEST_F(HttpServerTest, NeverStartedStopsAsWell) { server_.Stop(); }

}  // namespace
}  // namespace orchard::server
