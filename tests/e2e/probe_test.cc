#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/service_command.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"
#include "tests/testing/tiny_model_folder.h"

/// Our programs as the probes of our programs: what a container runs to know how its service is.

namespace orchard {
namespace {

using testing::BinaryPath;
using testing::ChildProcess;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::Identity;
using ::testing::IsEmpty;
using testing::PortIn;

struct Result {
  int code = -1;
  std::string err;
};

class ProbeTest : public ::testing::TestWithParam<std::string> {
 protected:
  /// Starts the service; the gRPC address is in address_.
  void Start(const std::vector<std::string>& flags = {}) {
    service_ =
        std::make_unique<ChildProcess>(testing::ServiceCommand(GetParam(), model_.path(), flags));
    ready_ = service_->ReadOutUntil("ready");
    ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
    address_ = "127.0.0.1:" + std::to_string(PortIn(ready_, "grpc"));
  }

  static Result Run(const std::vector<std::string>& flags,
                    const std::vector<std::string>& variables = {}) {
    std::vector<std::string> command = {BinaryPath(GetParam())};
    command.insert(command.end(), flags.begin(), flags.end());
    ChildProcess probe(command, variables);
    EXPECT_THAT(probe.RestOfOut(), IsEmpty());
    Result result;
    result.err = probe.RestOfErr();
    result.code = probe.Wait().value_or(-1);
    return result;
  }

  Result Probe(const std::vector<std::string>& more = {},
               const std::vector<std::string>& variables = {}) const {
    std::vector<std::string> flags = {"--probe", address_};
    flags.insert(flags.end(), more.begin(), more.end());
    return Run(flags, variables);
  }

  static void ExpectWell(const Result& result) {
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.err, "");
  }

  /// One sentence, by the program's name.
  static void ExpectIll(const Result& result, const std::string& why) {
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, ::testing::StartsWith(GetParam() + ": "));
    EXPECT_THAT(result.err, HasSubstr(why));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }

  const testing::TinyModelFolder model_;
  const testing::TempDir dir_;
  testing::TestCa ca_{dir_.path()};
  std::unique_ptr<ChildProcess> service_;
  std::string ready_, address_;
};

TEST_P(ProbeTest, SaysHowAServiceIsUntilItDrains) {
  Start({"--drain-delay", "10min"});
  ExpectWell(Probe());
  const std::string service =
      GetParam() == "orchard-router" ? "orchard.v1.Classifier" : model_.domains()[0];
  ExpectWell(Probe({"--probe-service", service}));
  ExpectIll(Probe({"--probe-service", "cheese"}), "has no service \"cheese\"");

  service_->Signal(SIGTERM);
  EXPECT_NE(service_->ReadErrUntil("event=drain_start"), "");
  EXPECT_TRUE(Eventually([&] { return Probe().code == 1; }));
  ExpectIll(Probe(), address_ + " says NOT_SERVING");
  service_->Signal(SIGTERM);
  service_->Wait();
  ExpectIll(Probe(), address_ + " can't be asked for its health");
}

TEST_P(ProbeTest, NothingElseThatIsWrongMatters) {
  Start();
  const std::string file = dir_ / "odd.toml";
  std::ofstream(file) << "in-flight = 0\nlisten = no text\nnobody-knows-this = 3\n";
  const std::vector<std::string> odd = {"ORCHARD_MODEL=/there/is/none", "ORCHARD_LISTEN=nowhere",
                                        "ORCHARD_DRAIN_DELAY=soon", "ORCHARD_CONFIG=" + file};
  ExpectWell(Probe({}, odd));
  ExpectWell(Probe({"--drain-timeout", "never"}, odd));
}

TEST_P(ProbeTest, WhatIsWrongWithTheProbeItselfIsAFault) {
  const Result misspelt = Run({"--probe", "127.0.0.1:1", "--probe-sevrice", "x"});
  EXPECT_EQ(misspelt.code, 2);
  EXPECT_THAT(misspelt.err, HasSubstr("did you mean --probe-service?"));
  const Result nowhere = Run({"--probe=127.0.0.1:0"});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("names port 0"));
  const std::string file = dir_ / "probe.toml";
  std::ofstream(file) << "probe = \"127.0.0.1:1\"\n";
  const Result in_file = Run({"--config", file});
  EXPECT_EQ(in_file.code, 2);
  EXPECT_THAT(in_file.err, HasSubstr("probe: can only be given as a flag"));
}

TEST_P(ProbeTest, ShowsTheCertificateOfTheService) {
  const Identity own = ca_.Issue(dir_.path(), "own", {.names = "DNS:farm.test,DNS:localhost"});
  const std::vector<std::string> tls = {"--tls-cert", own.cert,          "--tls-key",
                                        own.key,      "--tls-client-ca", ca_.cert()};
  Start(tls);
  ExpectWell(Probe(tls));
  ExpectWell(
      Probe({}, {"ORCHARD_TLS_CERT=" + own.cert.string(), "ORCHARD_TLS_KEY=" + own.key.string(),
                 "ORCHARD_TLS_CLIENT_CA=" + ca_.cert().string()}));
  std::vector<std::string> other_name = tls;
  other_name.insert(other_name.end(), {"--probe-tls-name", "meadow.test"});
  ExpectIll(Probe(other_name), "can't be asked");
  ExpectIll(Probe(), "can't be asked");  // Without a certificate.

  const testing::TempDir elsewhere;
  testing::TestCa other_ca(elsewhere.path());
  const Identity foreign = other_ca.Issue(elsewhere.path(), "own", {.names = "DNS:farm.test"});
  ExpectIll(Probe({"--tls-cert", foreign.cert, "--tls-key", foreign.key, "--tls-client-ca",
                   other_ca.cert()}),
            "can't be asked");
  ExpectIll(Probe({"--tls-cert", foreign.cert, "--tls-key", own.key}), "is not the key of");
}

TEST_P(ProbeTest, WithoutAuthoritiesItTrustsTheServicesOwnCertificate) {
  const Identity own = ca_.Issue(dir_.path(), "own", {.names = "DNS:farm.test"});
  const Identity other = ca_.Issue(dir_.path(), "other", {.names = "DNS:farm.test"});
  Start({"--tls-cert", own.cert, "--tls-key", own.key});
  ExpectWell(Probe({"--tls-cert", own.cert, "--tls-key", own.key}));
  ExpectIll(Probe({"--tls-cert", other.cert, "--tls-key", other.key}), "can't be asked");
}

INSTANTIATE_TEST_SUITE_P(Programs, ProbeTest, ::testing::Values("orchard-router", "orchard-expert"),
                         [](const auto& param_info) {
                           return param_info.param == "orchard-router" ? "Router" : "Expert";
                         });

}  // namespace
}  // namespace orchard
