#include <chrono>
#include <list>
#include <signal.h>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "server/http.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/grpc_calls.h"
#include "tests/testing/http_get.h"
#include "tests/testing/temp_dir.h"

namespace orchard::server {
namespace {

using ::orchard::testing::BinaryPath;
using ::orchard::testing::CheckHealth;
using ::orchard::testing::ChildProcess;
using ::orchard::testing::Eventually;
using ::orchard::testing::HealthWatch;
using ::orchard::testing::HttpGet;
using ::orchard::testing::PortIn;
using ::orchard::testing::TcpConnection;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> Probe(const std::vector<std::string>& more) {
  std::vector<std::string> command = {BinaryPath("server_probe"), "--listen=127.0.0.1:0",
                                      "--http-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

TEST(ProcessTest, TheReadyLineNamesPortsThatAnswer) {
  ChildProcess child(Probe({}));
  const std::string line = child.ReadOutUntil("ready");
  ASSERT_THAT(line, StartsWith("server_probe ready grpc=127.0.0.1:"));
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/readyz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(HttpGet(PortIn(line, "metrics"), "/metrics"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("version=0.0.4"),
                    HasSubstr("orchard_build_info{program=\"server_probe\""),
                    HasSubstr("process_open_fds ")));
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(PortIn(line, "grpc")),
                                           grpc::InsecureChannelCredentials());
  EXPECT_EQ(CheckHealth(channel, "orchard.v1.Classifier"), "SERVING");
}

TEST(ProcessTest, ATermSignalDrainsAndExitsWithZero) {
  for (const int signal : {SIGTERM, SIGINT}) {
    ChildProcess child(Probe({"--drain-delay=10ms"}));
    ASSERT_NE(child.ReadOutUntil("ready"), "");
    child.Signal(signal);
    EXPECT_EQ(child.Wait(), 0);
    EXPECT_NE(child.ReadErrUntil("event=drain_start signal=" + std::to_string(signal)), "");
    EXPECT_NE(child.ReadErrUntil("event=flushed"), "");
    EXPECT_NE(child.ReadErrUntil("event=drain_done"), "");
  }
}

TEST(ProcessTest, WhileItDrainsItIsNotReadyButStillServes) {
  ChildProcess child(Probe({"--drain-delay=10min"}));
  const std::string line = child.ReadOutUntil("ready");
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(PortIn(line, "grpc")),
                                           grpc::InsecureChannelCredentials());
  HealthWatch watch(channel, "");
  ASSERT_EQ(watch.Next(), "SERVING");
  child.Signal(SIGTERM);
  EXPECT_EQ(watch.Next(), "NOT_SERVING");
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(HttpGet(PortIn(line, "metrics"), "/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(CheckHealth(channel, ""), "NOT_SERVING");  // Answered: it still serves.
}

TEST(ProcessTest, ALogThatNobodyReadsHoldsNothingUp) {
  // Far more than a pipe and the queue hold.
  ChildProcess child(Probe({"--drain-delay=0s", "--log-lines=100000"}));
  const std::string line = child.ReadOutUntil("ready");
  ASSERT_NE(line, "");
  EXPECT_THAT(HttpGet(PortIn(line, "metrics"), "/metrics"),
              ::testing::ContainsRegex("\norchard_log_lines_dropped_total [1-9]"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, TheLastLinesAreWrittenBeforeTheEnd) {
  ChildProcess child(Probe({"--drain-delay=0s", "--log-lines=1000"}));
  ASSERT_NE(child.ReadOutUntil("ready"), "");
  child.Signal(SIGTERM);
  const std::string log = child.RestOfErr();
  EXPECT_THAT(log, AllOf(HasSubstr("event=line number=0\n"), HasSubstr("event=line number=999\n"),
                         HasSubstr("event=drain_done")));
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, ASecondSignalEndsItAtOnce) {
  ChildProcess child(Probe({"--drain-delay=10min"}));
  ASSERT_NE(child.ReadOutUntil("ready"), "");
  child.Signal(SIGTERM);
  ASSERT_NE(child.ReadErrUntil("event=drain_start"), "");
  child.Signal(SIGINT);
  EXPECT_EQ(child.Wait(), 128 + SIGINT);
  EXPECT_FALSE(child.killed_by_signal());
}

TEST(ProcessTest, AHangupReloadsAndEndsNothing) {
  ChildProcess child(Probe({"--drain-delay=0s"}));
  const std::string line = child.ReadOutUntil("ready");
  for (int i = 0; i < 3; ++i) {
    child.Signal(SIGHUP);
    EXPECT_NE(child.ReadErrUntil("event=reload"), "");
  }
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/readyz"), StartsWith("HTTP/1.1 200"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, ASignalWhileItLoadsMeansThatItIsNeverReady) {
  ChildProcess child(Probe({"--load-until-signal", "--drain-delay=10min"}));
  ASSERT_NE(child.ReadErrUntil("event=loading"), "");
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);  // At once: there is nobody to wait for.
  EXPECT_EQ(child.RestOfOut(), "");
  const std::string log = child.RestOfErr();
  EXPECT_THAT(log, HasSubstr("event=signal_while_loading"));
  EXPECT_THAT(log, Not(HasSubstr("event=ready")));
}

/// Starts the probe as a shell command does, and returns its ready line.
std::vector<std::string> ByShell(const std::string& before) {
  std::vector<std::string> command = {"/bin/bash", "-c", before + " exec \"$0\" \"$@\""};
  for (std::string& argument : Probe({"--drain-delay=0s"})) command.push_back(argument);
  return command;
}

TEST(ProcessTest, WhatAParentLeftBehindDoesNotMatter) {
  ChildProcess child(ByShell("trap '' TERM INT HUP PIPE; exec 0<&-;"));
  const std::string line = child.ReadOutUntil("ready");
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/readyz"), StartsWith("HTTP/1.1 200"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, ClosedDescriptorsDoNotBecomeSockets) {
  // Without stderr its number would be a socket's, and log lines would go to a caller. The ready
  // line goes to a file, for stdout is closed as well by whoever does this.
  const ::orchard::testing::TempDir dir;
  const std::string out = (dir / "out").string();
  ChildProcess child(ByShell("exec 1>" + out + " 0<&- 2>&-;"));
  std::string line;
  EXPECT_TRUE(Eventually([&] {
    line = core::ReadFile(out).value_or("");
    return line.find('\n') != std::string::npos;
  }));
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(PortIn(line, "grpc")),
                                           grpc::InsecureChannelCredentials());
  EXPECT_EQ(CheckHealth(channel, ""), "SERVING");
  for (int i = 0; i < 3; ++i) child.Signal(SIGHUP);  // Each writes a line.
  EXPECT_EQ(CheckHealth(channel, ""), "SERVING");
  EXPECT_THAT(HttpGet(PortIn(line, "http"), "/readyz"), StartsWith("HTTP/1.1 200"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, WithoutDescriptorsItIsNotReadyAndServesAgainWhenTheyAreFree) {
  ChildProcess child(ByShell("ulimit -n 64;"));
  const std::string line = child.ReadOutUntil("ready");
  const std::uint16_t http = PortIn(line, "http");
  const std::uint16_t grpc_port = PortIn(line, "grpc");
  const auto is_ready = [http](bool wanted) {
    return Eventually(
        [&] { return (HttpGet(http, "/readyz").find("HTTP/1.1 200") == 0) == wanted; });
  };
  ASSERT_TRUE(is_ready(true));
  {
    std::list<TcpConnection> crowd;
    for (int i = 0; i < 100; ++i) crowd.emplace_back(grpc_port);
    EXPECT_TRUE(is_ready(false));
    EXPECT_THAT(HttpGet(http, "/healthz"), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_TRUE(is_ready(true));
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(grpc_port),
                                           grpc::InsecureChannelCredentials());
  EXPECT_EQ(CheckHealth(channel, ""), "SERVING");
}

TEST(ProcessTest, APeerThatDripsItsRequestDoesNotHoldTheEndUp) {
  for (const char* port : {"http", "metrics"}) {
    ChildProcess child(Probe({"--drain-delay=0s"}));
    const TcpConnection connection(PortIn(child.ReadOutUntil("ready"), port));
    connection.Send("GET /healthz HTTP/1.1\r\nX-A: ");
    std::jthread drip([&connection](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        connection.Send("a");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
    child.Signal(SIGTERM);
    EXPECT_EQ(child.Wait(), 0) << port;
  }
}

TEST(ProcessTest, BeforeItIsReadyProbesSaySoAndTwoSignalsEndIt) {
  ChildProcess child(Probe({"--load-for-ever"}));
  const std::string line = child.ReadErrUntil("event=loading");
  const size_t begin = line.find("http=");
  ASSERT_NE(begin, std::string::npos) << line;
  const auto port = static_cast<std::uint16_t>(std::stoi(line.substr(begin + 5)));
  EXPECT_THAT(HttpGet(port, "/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(HttpGet(port, "/readyz"), StartsWith("HTTP/1.1 503"));
  child.Signal(SIGTERM);
  ASSERT_NE(child.ReadErrUntil("event=signalled_while_loading"), "");
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 128 + SIGTERM);
}

TEST(ProcessTest, EveryPlainPortBeyondLoopbackIsWarnedOf) {
  // Loopback as nobody writes it, which passes for another machine's.
  ChildProcess child({BinaryPath("server_probe"), "--listen=0x7f.0.0.1:0",
                      "--http-listen=0x7f.0.0.1:0", "--metrics-listen=0x7f.0.0.1:0",
                      "--drain-delay=0s"});
  for (const char* port : {"grpc", "http", "metrics"}) {
    EXPECT_NE(child.ReadErrUntil(std::string("event=plain_listener ") + port + "=0x7f.0.0.1:"), "")
        << port;
  }
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, PlainPortsOnLoopbackAreNothingToWarnOf) {
  ChildProcess child(Probe({"--drain-delay=0s"}));
  ASSERT_NE(child.ReadOutUntil("ready"), "");
  child.Signal(SIGTERM);
  EXPECT_THAT(child.RestOfErr(), Not(HasSubstr("plain_listener")));
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ProcessTest, APortInUseEndsItWithTheReason) {
  HttpServer taken;
  const absl::StatusOr<Address> bound = taken.Start({.host = "127.0.0.1", .port = 0});
  ASSERT_TRUE(bound.ok()) << bound.status();
  for (const char* flag : {"--listen=", "--http-listen=", "--metrics-listen="}) {
    std::vector<std::string> command = Probe({});
    std::erase_if(command, [flag](const std::string& text) { return text.rfind(flag, 0) == 0; });
    command.push_back(flag + bound->ToString());
    ChildProcess child(command);
    EXPECT_THAT(child.ReadErrUntil("level=error event=start"),
                AllOf(HasSubstr(bound->ToString()), HasSubstr("Address already in use")))
        << flag;
    EXPECT_EQ(child.Wait(), 1) << flag;
  }
}

TEST(ProcessTest, WrongSettingsEndItWithExitCodeTwo) {
  ChildProcess child({BinaryPath("server_probe"), "--listen=here", "--drain-delay=never"},
                     {"ORCHARD_LOG_LEVEL=loud"});
  EXPECT_EQ(child.Wait(), 2);
  EXPECT_NE(child.ReadErrUntil("--listen: \"here\""), "");
  EXPECT_NE(child.ReadErrUntil("\"loud\" is not one of debug|info|warning|error|off (from "
                               "ORCHARD_LOG_LEVEL)"),
            "");
  EXPECT_NE(child.ReadErrUntil("--drain-delay: \"never\""), "");
}

}  // namespace
}  // namespace orchard::server
