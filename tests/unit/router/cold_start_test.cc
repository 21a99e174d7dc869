#include <future>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/cold_starts.h"
#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

/// Pictures that want a domain which is being started, seen from the pipeline's ends.

namespace orchard::router {
namespace {

using core::Clock;
using experts::MissingReason;
using orchard::testing::Eventually;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using testing::AwaitQueue;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HeldEncoder;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using testing::Line;
using testing::Pinned;
using ::testing::SizeIs;
using testing::With;
using namespace std::chrono_literals;

/// Keeps how long each picture waited.
class WaitKeeper final : public Observer {
 public:
  bool before_answer() const override { return true; }
  void Finished(const RequestRecord& record) override {
    const std::lock_guard lock(mutex_);
    waits_.push_back(record.cold_wait);
  }
  std::vector<Clock::duration> waits() {
    const std::lock_guard lock(mutex_);
    return waits_;
  }

 private:
  std::mutex mutex_;
  std::vector<Clock::duration> waits_;
};

Line::Options Waiting(std::chrono::nanoseconds longest, size_t expert_in_flight = 0) {
  Line::Options options;
  options.settings.default_deadline = 1h;
  options.settings.max_deadline = 1h;
  options.experts.cold_start_wait = std::chrono::duration_cast<core::Clock::duration>(longest);
  options.experts.in_flight = expert_in_flight;
  return options;
}

bool AwaitHeld(Line& line, size_t pictures, size_t domain = kRiceDisease) {
  return Eventually([&] { return line.model()->experts().cold().waiting(domain) == pictures; });
}

void ExpectMissing(const testing::Answer& answer, const std::string& domain,
                   const std::string& reason) {
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->missing(), ElementsAre(domain));
  for (const v1::DomainRouting& route : answer->routing().domains()) {
    EXPECT_EQ(route.missing_reason(), route.domain() == domain ? reason : "") << route.domain();
  }
}

TEST(ColdStartTest, WithoutAWaitTheDomainIsMissingAtOnce) {
  Line line(Waiting(0ns));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  ExpectMissing(line.Classify(1, With(v1::DENSE)), "rice_disease", "cold");
  EXPECT_THAT(line.Classify(1, With(v1::HARD)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is starting")));
  EXPECT_EQ(line.expert(kRiceDisease).hurried(), 0U);
}

TEST(ColdStartTest, APictureIsHeldUntilTheDomainIsThereAndOthersAreAskedMeanwhile) {
  WaitKeeper keeper;
  Line::Options options = Waiting(1h);
  options.observers = {&keeper};
  Line line(std::move(options));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  auto answer = line.Start(1, With(v1::DENSE));
  line.expert(kFruit).WaitForCalls(1);
  line.expert(kVegetable).WaitForCalls(1);
  EXPECT_TRUE(AwaitHeld(line, 1));
  EXPECT_TRUE(Eventually([&] { return line.expert(kRiceDisease).hurried() >= 2; }));
  EXPECT_EQ(line.expert(kRiceDisease).calls(), 0U);
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);

  line.expert(kRiceDisease).SetUnavailable(std::nullopt);
  const testing::Answer got = answer.get();
  ASSERT_THAT(got, IsOk());
  EXPECT_FALSE(got->degraded());
  EXPECT_EQ(line.expert(kRiceDisease).calls(), 1U);
  EXPECT_EQ(line.model()->experts().cold().waiting(kRiceDisease), 0U);
  ASSERT_THAT(keeper.waits(), SizeIs(1));
  EXPECT_GT(keeper.waits()[0], Clock::duration::zero());
}

TEST(ColdStartTest, APictureThatWaitsForNobodySaysSo) {
  WaitKeeper keeper;
  Line::Options options = Waiting(1h);
  options.observers = {&keeper};
  Line line(std::move(options));
  EXPECT_THAT(line.Classify(1, With(v1::DENSE)), IsOk());
  EXPECT_THAT(keeper.waits(), ElementsAre(Clock::duration::zero()));
}

TEST(ColdStartTest, ExactAsksNobodyElseBeforeItsTimeIsOver) {
  Line line(Waiting(1h));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  auto answer = line.Start(1);
  EXPECT_TRUE(AwaitHeld(line, 1));
  EXPECT_EQ(line.expert(kFruit).calls(), 0U);
  line.expert(kRiceDisease).SetUnavailable(std::nullopt);
  const testing::Answer got = answer.get();
  ASSERT_THAT(got, IsOk());
  EXPECT_TRUE(got->exact());
  EXPECT_EQ(line.expert(kFruit).calls(), 0U);
}

TEST(ColdStartTest, AfterItsTimeExactGoesOnWithoutIt) {
  Line line(Waiting(30ms));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  ExpectMissing(line.Classify(), "rice_disease", "cold");
  EXPECT_EQ(line.expert(kFruit).calls(), 1U);
  EXPECT_EQ(line.expert(kRiceDisease).calls(), 0U);
}

TEST(ColdStartTest, AShorterDeadlineLeavesTimeForAnAnswerWithoutIt) {
  Line line(Waiting(1h));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  const testing::Answer answer = line.Start(1, With(v1::DENSE), Clock::now() + 1s).get();
  ExpectMissing(answer, "rice_disease", "cold");
}

TEST(ColdStartTest, WhoIsHeldHasAPlaceAndACallerThatGoesFreesIt) {
  Line line(Waiting(1h, /*expert_in_flight=*/1));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  std::stop_source caller;
  auto held = line.Start(1, With(v1::HARD), std::nullopt, caller.get_token());
  EXPECT_TRUE(AwaitHeld(line, 1));
  EXPECT_THAT(line.Classify(2, With(v1::HARD)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is overloaded")));
  caller.request_stop();
  EXPECT_EQ(held.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(line.pipeline().Load().in_flight, 0);
  EXPECT_TRUE(AwaitHeld(line, 0));
  auto next = line.Start(3, With(v1::HARD));
  EXPECT_TRUE(AwaitHeld(line, 1));
  line.expert(kRiceDisease).SetUnavailable(std::nullopt);
  EXPECT_THAT(next.get(), IsOk());
}

TEST(ColdStartTest, WhatADomainTurnsOutToBeIsTheReason) {
  Line line(Waiting(1h));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  auto answer = line.Start(1, With(v1::DENSE));
  EXPECT_TRUE(AwaitHeld(line, 1));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kForeign);
  ExpectMissing(answer.get(), "rice_disease", "foreign");
  EXPECT_EQ(line.model()->experts().cold().waiting(kRiceDisease), 0U);
}

TEST(ColdStartTest, MatesThatWaitTogetherAreAskedTogether) {
  HeldEncoder encoder;
  Line::Options options = Waiting(1h);
  options.on_encode = encoder.Hook();
  Line line(std::move(options));
  auto first = line.Start(1, Pinned("fruit"));
  encoder.first_started.wait();
  auto second = line.Start(2, With(v1::HARD));
  auto third = line.Start(3, With(v1::HARD));
  AwaitQueue(line.pipeline(), 2);
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  encoder.release.count_down();
  EXPECT_TRUE(AwaitHeld(line, 2));
  line.expert(kRiceDisease).SetUnavailable(std::nullopt);
  EXPECT_THAT(second.get(), IsOk());
  EXPECT_THAT(third.get(), IsOk());
  EXPECT_THAT(first.get(), IsOk());
  const auto asked = line.expert(kRiceDisease).asked();
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_THAT(asked[0].batch.rows, SizeIs(2));
}

TEST(ColdStartTest, WhenTheFleetStopsNobodyWaitsAnyMore) {
  Line line(Waiting(1h));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  auto answer = line.Start(1, With(v1::HARD));
  EXPECT_TRUE(AwaitHeld(line, 1));
  line.fleet().Stop();
  EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease")));
}

TEST(ColdStartTest, TheGaugeSaysWhoIsWaitedFor) {
  Line line(Waiting(1h));
  line.expert(kRiceDisease).SetUnavailable(MissingReason::kCold);
  auto answer = line.Start(1, With(v1::HARD));
  const auto gauge = [&](const std::string& domain) {
    for (const prometheus::MetricFamily& family : line.registry().Collect()) {
      if (family.name != "orchard_cold_waiting") continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.name == "domain" && label.value == domain) return metric.gauge.value;
        }
      }
    }
    return -1.0;
  };
  EXPECT_TRUE(Eventually([&] { return gauge("rice_disease") == 1.0; }));
  EXPECT_EQ(gauge("fruit"), 0.0);
  line.expert(kRiceDisease).SetUnavailable(std::nullopt);
  EXPECT_THAT(answer.get(), IsOk());
  EXPECT_EQ(gauge("rice_disease"), 0.0);
}

}  // namespace
}  // namespace orchard::router
