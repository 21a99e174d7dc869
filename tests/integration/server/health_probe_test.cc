// Probes of a real server: what a probe makes of each answer, and of none.

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/grpc_host.h"
#include "server/probe.h"
#include "tests/integration/server/describe_service.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::MuteServer;
using ::orchard::testing::StatusIs;
using testing::DescribeService;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr char kClassifier[] = "orchard.v1.Classifier";

class HealthProbeTest : public ::testing::Test {
 protected:
  HealthProbeTest() : host_(*GrpcHost::Start({"127.0.0.1", 0}, {{kClassifier, &service_}})) {}

  absl::Status Ask(const std::string& service = "") const {
    return Probe({.address = host_->address(), .service = service, .timeout = 20s, .tls_name = ""},
                 {});
  }

  DescribeService service_;
  const std::unique_ptr<GrpcHost> host_;
};

TEST_F(HealthProbeTest, IsWellOnceItServesAndIllWhenItDoesNot) {
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kUnavailable,
                              host_->address().ToString() + " says NOT_SERVING"));
  host_->SetServing(true);
  EXPECT_THAT(Ask(), IsOk());
  EXPECT_THAT(Ask(kClassifier), IsOk());
  EXPECT_THAT(Ask("cheese"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"cheese\"")));
  host_->SetServing(false);
  EXPECT_FALSE(Ask(kClassifier).ok());
}

TEST_F(HealthProbeTest, WhoIsNotThereIsIllAtOnce) {
  const Address address = host_->address();
  host_->Shutdown(std::chrono::steady_clock::now());
  // With an hour to wait: nothing but a refusal ends this.
  EXPECT_THAT(Probe({.address = address, .service = "", .timeout = 1h, .tls_name = ""}, {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr(address.ToString() + " can't be asked for its health")));
}

TEST(MuteProbeTest, WhoIsSilentIsIllWhenTheTimeIsOver) {
  const MuteServer mute;
  EXPECT_THAT(
      Probe({.address = *ParseAddress(mute.address()),
             .service = "",
             .timeout = 50ms,
             .tls_name = ""},
            {}),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("gave no answer within 50 ms")));
}

}  // namespace
}  // namespace orchard::server
