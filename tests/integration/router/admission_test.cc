/// Who yields to whom, as callers see it on the wire.

#include <chrono>
#include <future>
#include <latch>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::RunningRouter;
using namespace std::chrono_literals;

constexpr auto kPatience = 30s;

std::string Leaf() { return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, 1)); }

/// A Classify call on a thread of its own.
class Call {
 public:
  Call(RunningRouter& router, const std::string& image, const std::string& priority) {
    context_.AddMetadata("x-priority", priority);
    context_.set_deadline(std::chrono::system_clock::now() + 2 * kPatience);
    status_ = std::async(std::launch::async, [this, &router, image] {
      return router.Classify(context_, image).status();
    });
  }
  absl::Status Wait() { return status_.get(); }
  bool HasPushback() const {
    return context_.GetServerTrailingMetadata().count("grpc-retry-pushback-ms") > 0;
  }

 private:
  grpc::ClientContext context_;
  std::future<absl::Status> status_;
};

void AwaitWaiting(RunningRouter& router, size_t waiting) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (router.engine().pipeline().Load().decode_waiting != waiting &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_EQ(router.engine().pipeline().Load().decode_waiting, waiting);
}

TEST(AdmissionTest, BatchYieldsToInteractive) {
  Engine::Config config;
  config.pipeline.in_flight = 2;
  RunningRouter router(config);
  const std::string image = Leaf();
  std::latch decoding(1), release(1);  // The one decoder is busy meanwhile.
  router.engine().pipeline().Start({.image = "not a picture"}, [&](const auto&) {
    decoding.count_down();
    release.wait();
  });
  decoding.wait();
  Call first(router, image, "batch");
  AwaitWaiting(router, 1);
  Call second(router, image, "batch");
  AwaitWaiting(router, 2);
  Call urgent(router, image, "interactive");
  EXPECT_THAT(second.Wait(), StatusIs(absl::StatusCode::kResourceExhausted,
                                      AllOf(HasSubstr("limit of 2"), HasSubstr("yield"))));
  EXPECT_TRUE(second.HasPushback());
  release.count_down();
  EXPECT_THAT(urgent.Wait(), IsOk());
  EXPECT_THAT(first.Wait(), IsOk());
}

TEST(AdmissionTest, AnUnknownPriorityIsNamed) {
  RunningRouter router;
  Call call(router, Leaf(), "bacth");
  EXPECT_THAT(call.Wait(), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr("\"bacth\""), HasSubstr("interactive"))));
}

}  // namespace
}  // namespace orchard::router
