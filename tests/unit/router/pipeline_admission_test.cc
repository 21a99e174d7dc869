/// Who is let into the pipeline, and who yields to whom: over fakes, with the decoder held.

#include <future>
#include <latch>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "router/pipeline.h"
#include "rpc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::HasSubstr;
using testing::kFruit;
using testing::Line;
using ::testing::Not;
using namespace std::chrono_literals;

/// A line whose one decoder is busy until Release().
class HeldLineTest : public ::testing::Test {
 protected:
  void Hold(Pipeline::Settings settings) {
    line_ = std::make_unique<Line>(Line::Options{.settings = std::move(settings)});
    line_->pipeline().Start({.model = line_->model(), .image = "not a picture"}, [&](const auto&) {
      decoding_.count_down();
      release_.wait();
    });
    decoding_.wait();
  }
  void Release() {
    if (!release_.try_wait()) release_.count_down();
  }
  ~HeldLineTest() override { Release(); }

  std::future<absl::Status> Start(const std::string& caller,
                                  Priority priority = Priority::kInteractive) {
    auto promise = std::make_shared<std::promise<absl::Status>>();
    std::future<absl::Status> status = promise->get_future();
    line_->pipeline().Start(
        {.model = line_->model(), .image = picture_, .caller = caller, .priority = priority},
        [promise](const absl::StatusOr<Classification>& answer) {
          promise->set_value(answer.status());
        });
    return status;
  }

  std::string Metrics() {
    return prometheus::TextSerializer().Serialize(line_->registry().Collect());
  }

  const std::string picture_ = testing::Picture(1);
  std::latch decoding_{1}, release_{1};
  std::unique_ptr<Line> line_;
};

TEST_F(HeldLineTest, ASecondCallerGetsInWhileTheFirstFloods) {
  Hold({.in_flight = 3});
  std::vector<std::future<absl::Status>> flood;
  for (int i = 0; i < 3; ++i) flood.push_back(Start("flood"));
  const absl::Status refused = Start("flood").get();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 3")));
  EXPECT_TRUE(rpc::PushbackOf(refused).has_value());
  auto shop = Start("shop");
  EXPECT_THAT(flood.back().get(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("its share")));
  Release();
  EXPECT_THAT(shop.get(), IsOk());
  EXPECT_THAT(flood[0].get(), IsOk());
  EXPECT_THAT(flood[1].get(), IsOk());
  const std::string metrics = Metrics();
  EXPECT_THAT(metrics, HasSubstr("orchard_shed_total{reason=\"caller_share\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("orchard_shed_total{reason=\"in_flight\"} 1"));
}

TEST_F(HeldLineTest, BatchYields) {
  Hold({.in_flight = 2});
  auto first = Start("night", Priority::kBatch);
  auto second = Start("night", Priority::kBatch);
  auto shop = Start("shop");
  EXPECT_THAT(second.get(), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("yield")));
  Release();
  EXPECT_THAT(shop.get(), IsOk());
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(Metrics(), HasSubstr("orchard_shed_total{reason=\"batch_priority\"} 1"));
}

TEST_F(HeldLineTest, BytesInProgressAreALimit) {
  Hold({.in_flight_bytes = testing::Picture(1).size() * 3 / 2});
  auto first = Start("a");
  EXPECT_THAT(Start("a").get(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("bytes of pictures")));
  Release();
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(Start("a").get(), IsOk());
}

TEST_F(HeldLineTest, WhoHasGoneWhileWaitingMakesRoom) {
  Hold({.in_flight = 1});
  std::stop_source caller;
  std::promise<absl::Status> first;
  line_->pipeline().Start(
      {.model = line_->model(), .image = picture_, .cancelled = caller.get_token()},
      [&](const absl::StatusOr<Classification>& answer) { first.set_value(answer.status()); });
  EXPECT_EQ(Start("a").get().code(), absl::StatusCode::kResourceExhausted);
  caller.request_stop();
  auto second = Start("a");
  EXPECT_EQ(first.get_future().get().code(), absl::StatusCode::kCancelled);
  Release();
  EXPECT_THAT(second.get(), IsOk());
}

TEST_F(HeldLineTest, WhoWillBeRefusedIsKnownBeforeItsPictureIs) {
  Hold({.in_flight = 2});
  const Job flood{.caller = "flood"};
  EXPECT_THAT(line_->pipeline().Foresee(flood), IsOk());
  std::vector<std::future<absl::Status>> waiting;
  for (int i = 0; i < 2; ++i) waiting.push_back(Start("flood"));
  EXPECT_THAT(line_->pipeline().Foresee(flood),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 2")));
  EXPECT_THAT(line_->pipeline().Foresee({.caller = "shop"}), IsOk()) << "it would get a place";
  EXPECT_THAT(line_->pipeline().Foresee({.deadline = Clock::now() - 1ms, .caller = "shop"}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("ago")));
  Release();
  for (std::future<absl::Status>& status : waiting) EXPECT_THAT(status.get(), IsOk());
}

TEST_F(HeldLineTest, WhoMayGetThePlaceOfOneWhoHasGoneIsNotRefusedBeforehand) {
  Hold({.in_flight = 1});
  std::stop_source gone;
  line_->pipeline().Start(
      {.model = line_->model(), .image = picture_, .cancelled = gone.get_token()},
      [](const absl::StatusOr<Classification>&) {});
  EXPECT_EQ(line_->pipeline().Foresee({}).code(), absl::StatusCode::kResourceExhausted);
  gone.request_stop();
  EXPECT_THAT(line_->pipeline().Foresee({}), IsOk());
}

TEST(PipelineAdmissionTest, ASlowDomainDoesNotRefuseThePicturesOfQuickOnes) {
  Line line;
  for (std::uint8_t red = 0; red < 32; ++red) ASSERT_THAT(line.Classify(red), IsOk());
  line.expert(kFruit).AnswerBy([](const auto&, const auto&) {
    const Clock::time_point until = Clock::now() + 400ms;
    while (Clock::now() < until) std::this_thread::yield();
    return testing::Scores(1, 3, 0.9);
  });
  v1::ClassifyOptions fruit;
  fruit.set_domain("fruit");
  for (std::uint8_t red = 0; red < 5; ++red) ASSERT_THAT(line.Classify(red, fruit), IsOk());
  // Late it may be, on a busy machine; but it is not refused for want of what fruit takes.
  const absl::Status status = line.Start(1, {}, Clock::now() + 100ms).get().status();
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("needed")));
}

TEST(PipelineAdmissionTest, LimitsAndEstimatesAreInTheMetrics) {
  Line line({.settings = {.in_flight = 7, .in_flight_bytes = 12345}});
  ASSERT_THAT(line.Classify(), IsOk());
  const std::string text = prometheus::TextSerializer().Serialize(line.registry().Collect());
  for (const char* series : {"orchard_in_flight_limit 7", "orchard_in_flight_bytes_limit 12345",
                             "orchard_estimate_seconds{of=\"picture\"}", "orchard_wait_margin 1"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

}  // namespace
}  // namespace orchard::router
