#include "router/scatter.h"

#include <atomic>
#include <ostream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

/// The scatter, seen from the pipeline's ends: who is asked together, who waits for whom, and what
/// becomes of a picture whose experts fail.

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::FakeExpert;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
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

std::vector<std::string> Missing(const v1::ClassifyResponse& response) {
  return {response.missing().begin(), response.missing().end()};
}

TEST(ScatterTest, PicturesOfAMicroBatchShareACallToAnExpert) {
  HeldEncoder encoder;
  Line line({.gates = {{4, {0.1, 0.8, 0.1}}}, .on_encode = encoder.Hook()});
  auto first = line.Start(1);
  encoder.first_started.wait();
  auto second = line.Start(2);
  auto third = line.Start(3);
  auto fruit = line.Start(4);
  AwaitQueue(line.pipeline(), 3);
  encoder.release.count_down();
  for (auto* answer : {&first, &second, &third}) {
    EXPECT_EQ(answer->get()->predictions(0).label(), "blast");
  }
  EXPECT_EQ(fruit.get()->predictions(0).label(), "apple");
  const auto asked = line.expert(kRiceDisease).asked();
  ASSERT_THAT(asked, SizeIs(2));
  EXPECT_THAT(asked[1].batch.rows, SizeIs(2));
  EXPECT_EQ(asked[1].batch.view->rows(), 3U);
  EXPECT_THAT(line.expert(kFruit).asked()[0].batch.rows, SizeIs(1));
}

TEST(ScatterTest, EveryMateOfASubBatchGetsItsOwnRow) {
  HeldEncoder encoder;
  Line line({.gates = {{7, {0.1, 0.8, 0.1}}}, .on_encode = encoder.Hook()});
  line.expert(kRiceDisease).AnswerBy([](const experts::SubBatch& batch, const auto&) {
    model::ScoreBatch scores = testing::Scores(batch.rows.size(), 2, 0.5);
    for (size_t i = 0; i < batch.rows.size(); ++i) {  // The picture's red, in tenths.
      const float p = batch.view->Floats(batch.rows[i], 1)[0] / 10.0F;
      scores.log_probabilities[2 * i] = std::log(p);
      scores.log_probabilities[2 * i + 1] = std::log(1.0F - p);
    }
    return scores;
  });
  auto first = line.Start(5);
  encoder.first_started.wait();
  std::vector<std::future<testing::Answer>> mates;
  for (const std::uint8_t red : std::initializer_list<std::uint8_t>{9, 7, 6, 8})
    mates.push_back(line.Start(red));
  AwaitQueue(line.pipeline(), 4);
  encoder.release.count_down();
  const std::vector<double> want = {0.7 * 0.9, 0.8 * 0.9, 0.7 * 0.6, 0.7 * 0.8};  // 7 is a fruit.
  for (size_t i = 0; i < mates.size(); ++i) {
    EXPECT_NEAR(mates[i].get()->predictions(0).probability(), want[i], 1e-6) << i;
  }
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(line.expert(kRiceDisease).asked()[1].batch.rows, ElementsAre(0, 2, 3));
}

TEST(ScatterTest, APictureWaitsOnlyForItsOwnExperts) {
  HeldEncoder encoder;
  Line line({.gates = {{3, {0.1, 0.8, 0.1}}}, .on_encode = encoder.Hook()});
  line.expert(kRiceDisease).AnswerBy(nullptr);  // By hand.
  auto warm = line.Start(1);
  encoder.first_started.wait();
  auto slow = line.Start(2);
  auto quick = line.Start(3);
  AwaitQueue(line.pipeline(), 2);
  encoder.release.count_down();
  EXPECT_THAT(quick.get(), IsOk());
  EXPECT_EQ(slow.wait_for(0s), std::future_status::timeout);
  line.expert(kRiceDisease).WaitForCalls(2);
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9));
  EXPECT_THAT(slow.get(), IsOk());
  EXPECT_THAT(warm.get(), IsOk());
}

TEST(ScatterTest, WavesOfManyExpertsGoThroughByHandToo) {
  Line line({.usual_gates = {0.4, 0.35, 0.25}});
  for (size_t domain = 0; domain < testing::kSmallDomains; ++domain) {
    line.expert(domain).AnswerBy(nullptr);
  }
  auto answer = line.Start(1);
  line.expert(kRiceDisease).WaitForCalls(1);
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.5));
  line.expert(kFruit).WaitForCalls(1);
  line.expert(kFruit).AnswerAll(testing::Scores(1, 3, 0.4));
  line.expert(kVegetable).WaitForCalls(1);
  line.expert(kVegetable).AnswerAll(testing::Scores(1, 2, 0.9));
  const auto got = answer.get();
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(got->predictions(0).domain(), "vegetable");
  EXPECT_NEAR(got->coverage(), 1.0, 1e-9);
}

// What can go wrong with experts: docs/operations.md, faults.

struct ExpertFault {
  std::string name;
  FakeExpert::Answer answer;
};

void PrintTo(const ExpertFault& fault, std::ostream* out) { *out << fault.name; }

class ExpertFaultTest : public ::testing::TestWithParam<ExpertFault> {
 protected:
  static FakeExpert::Rule Faulty() {
    return [](const experts::SubBatch&, const experts::CallContext&) { return GetParam().answer; };
  }
};

TEST_P(ExpertFaultTest, DegradesTheAnswer) {
  Line line;
  line.expert(kFruit).AnswerBy(Faulty());
  const auto answer = line.Classify(1, With(v1::DENSE));
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->degraded());
  EXPECT_THAT(Missing(*answer), ElementsAre("fruit"));
  EXPECT_NEAR(answer->coverage(), 0.8, 1e-6);
  EXPECT_TRUE(answer->exact());  // 0.63 > 0.2: fruit could not have won.
  EXPECT_TRUE(answer->routing().domains(kFruit).activated());
  EXPECT_FALSE(answer->routing().domains(kFruit).answered());
}

TEST_P(ExpertFaultTest, IsUnavailableWhenItWasTheOnlyOne) {
  Line line;
  line.expert(kRiceDisease).AnswerBy(Faulty());
  EXPECT_THAT(line.Classify(1, With(v1::HARD)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease ")));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ExpertFaultTest,
    ::testing::Values(ExpertFault{"Fails", absl::InternalError("broken")},
                      ExpertFault{"Refuses", absl::ResourceExhaustedError("full")},
                      ExpertFault{"OtherEncoder", absl::FailedPreconditionError("fingerprint")}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(ScatterTest, ALateExpertDegradesTheAnswer) {
  Line line;
  line.expert(kFruit).AnswerBy(nullptr);
  const auto answer = line.Start(1, With(v1::DENSE), Clock::now() + 300ms).get();
  ASSERT_THAT(answer, IsOk());  // And not DEADLINE_EXCEEDED, though that expert never answers.
  EXPECT_TRUE(answer->degraded());
  EXPECT_THAT(Missing(*answer), ElementsAre("fruit"));
  EXPECT_EQ(line.expert(kFruit).AnswerAll(testing::Scores(1, 3, 0.9)), 1U);  // Dropped.
}

TEST(ScatterTest, OnlyLateExpertsExceedTheDeadline) {
  Line line;
  line.expert(kRiceDisease).AnswerBy(nullptr);
  EXPECT_THAT(line.Start(1, With(v1::HARD), Clock::now() + 50ms).get(),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("rice_disease is late")));
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9));
}

TEST(ScatterTest, ACallerThatGoesIsAnsweredAtOnceAndItsPlaceIsFree) {
  Line line({.settings = {.in_flight = 1}});
  line.expert(kRiceDisease).AnswerBy(nullptr);
  std::stop_source caller;
  auto answer = line.Start(1, With(v1::HARD), Clock::now() + 1h, caller.get_token());
  line.expert(kRiceDisease).WaitForCalls(1);
  caller.request_stop();
  EXPECT_EQ(answer.get().status().code(), absl::StatusCode::kCancelled);  // The expert is silent.
  EXPECT_THAT(line.Classify(2, Pinned("fruit")), IsOk());
  EXPECT_EQ(line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9)), 1U);  // Dropped.
}

TEST(ScatterTest, ACallerThatGoesLeavesTheMatesOfItsMicroBatchAlone) {
  HeldEncoder encoder;
  Line line({.gates = {{1, {0.1, 0.8, 0.1}}}, .on_encode = encoder.Hook()});
  line.expert(kRiceDisease).AnswerBy(nullptr);
  auto first = line.Start(1);
  encoder.first_started.wait();
  std::stop_source caller;
  auto gone = line.Start(2, With(v1::HARD), std::nullopt, caller.get_token());
  auto mate = line.Start(3, With(v1::HARD));
  AwaitQueue(line.pipeline(), 2);
  encoder.release.count_down();
  line.expert(kRiceDisease).WaitForCalls(1);
  caller.request_stop();
  EXPECT_EQ(gone.get().status().code(), absl::StatusCode::kCancelled);
  line.expert(kRiceDisease).AnswerAll(testing::Scores(2, 2, 0.9));
  EXPECT_THAT(mate.get(), IsOk());
  EXPECT_THAT(first.get(), IsOk());
}

TEST(ScatterTest, NoExpertIsGivenLongerThanTheLongestDeadline) {
  Line line({.settings = {.max_deadline = 1min, .expert_timeout = 1h}});
  const Clock::time_point begin = Clock::now();
  EXPECT_THAT(line.Start(1, {}, begin + 24h).get(), IsOk());
  EXPECT_LT(line.expert(kRiceDisease).asked().at(0).context.deadline, Clock::now() + 1min);
  EXPECT_GT(line.expert(kRiceDisease).asked().at(0).context.deadline, begin + 50s);
}

TEST(ScatterTest, AnExpertHasItsTimeAndNoMore) {
  Line line({.settings = {.expert_timeout = 5s}});
  const Clock::time_point begin = Clock::now();
  EXPECT_THAT(line.Start(1, {}, begin + 1h).get(), IsOk());
  EXPECT_THAT(line.Start(1, {}, begin + 3s).get(), IsOk());
  const auto asked = line.expert(kRiceDisease).asked();
  EXPECT_LE(asked[0].context.deadline, Clock::now() + 5s);
  EXPECT_GE(asked[0].context.deadline, begin + 5s);
  EXPECT_LT(asked[1].context.deadline, begin + 3s);
}

TEST(ScatterTest, ExactGoesOnWithTheNextWaveWhenAnExpertIsLate) {
  Line line({.settings = {.expert_timeout = 30ms}});
  line.expert(kRiceDisease).AnswerBy(nullptr);  // Hung: it does not even say that it is late.
  const auto answer = line.Start(1, With(v1::EXACT), Clock::now() + 1h).get();
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->degraded());
  EXPECT_THAT(Missing(*answer), ElementsAre("rice_disease"));
  EXPECT_EQ(answer->routing().domains(kRiceDisease).missing_reason(), "timeout");
  EXPECT_EQ(answer->predictions(0).domain(), "fruit");
  EXPECT_TRUE(line.expert(kRiceDisease).asked()[0].context.cancelled.stop_requested());
  EXPECT_EQ(line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9)), 1U);  // Dropped.
}

TEST(ScatterTest, AllThatAreLateBeforeTheDeadlineAreUnavailable) {
  Line line({.settings = {.expert_timeout = 10ms}});
  line.expert(kRiceDisease).AnswerBy(nullptr);
  EXPECT_THAT(line.Start(1, With(v1::HARD), Clock::now() + 1h).get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is late")));
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9));
}

TEST(ScatterTest, AHungDomainHoldsNoMorePlacesThanItsOwn) {
  Line line({.settings = {.in_flight = 8, .expert_timeout = 1h}, .experts = {.in_flight = 2}});
  line.expert(kRiceDisease).AnswerBy(nullptr);
  auto first = line.Start(1, With(v1::HARD), Clock::now() + 1h);
  auto second = line.Start(2, With(v1::HARD), Clock::now() + 1h);
  line.expert(kRiceDisease).WaitForCalls(1);
  EXPECT_TRUE(
      orchard::testing::Eventually([&] { return line.pipeline().Load().encode_waiting == 0; }));
  for (std::uint8_t i = 0; i < 20; ++i) {
    const auto third = line.Start(3, With(v1::HARD), Clock::now() + 1h).get();
    EXPECT_THAT(third, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is overloaded")));
    EXPECT_THAT(line.Classify(4, Pinned("fruit")), IsOk());
  }
  const auto degraded = line.Classify(5, With(v1::EXACT));
  ASSERT_THAT(degraded, IsOk());
  EXPECT_EQ(degraded->routing().domains(kRiceDisease).missing_reason(), "overloaded");
  size_t answered = 0;
  while (answered < 2) {
    answered += line.expert(kRiceDisease).AnswerAllBy([](const auto& batch, const auto&) {
      return testing::Scores(batch.rows.size(), 2, 0.9);
    });
    if (first.wait_for(0s) == std::future_status::ready &&
        second.wait_for(0s) == std::future_status::ready) {
      break;
    }
  }
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(second.get(), IsOk());
  line.AnswerWell(kRiceDisease);
  EXPECT_THAT(line.Classify(6), IsOk());
}

TEST(ScatterTest, ACallThatNobodyWaitsForIsCancelledAndOnlyThen) {
  HeldEncoder encoder;
  Line line({.gates = {{1, {0.1, 0.8, 0.1}}},
             .settings = {.expert_timeout = 1h},
             .on_encode = encoder.Hook()});
  line.expert(kRiceDisease).AnswerBy(nullptr);
  auto first = line.Start(1);
  encoder.first_started.wait();
  std::stop_source one, other;
  auto gone = line.Start(2, With(v1::HARD), Clock::now() + 1h, one.get_token());
  auto mate = line.Start(3, With(v1::HARD), Clock::now() + 1h, other.get_token());
  AwaitQueue(line.pipeline(), 2);
  encoder.release.count_down();
  line.expert(kRiceDisease).WaitForCalls(1);
  const std::stop_token cancelled = line.expert(kRiceDisease).asked()[0].context.cancelled;
  one.request_stop();
  gone.wait();
  EXPECT_FALSE(cancelled.stop_requested());
  other.request_stop();
  mate.wait();
  EXPECT_TRUE(cancelled.stop_requested());
  EXPECT_THAT(first.get(), IsOk());
  line.expert(kRiceDisease).AnswerAll(testing::Scores(2, 2, 0.9));
}

/// An expert that never answers before it is stopped, and keeps nothing of what it is asked.
class HungExpert final : public experts::Expert {
 public:
  void Score(experts::SubBatch batch, experts::CallContext, Done done) override {
    core::MutexLock lock(mutex_);
    features_.push_back(batch.view);
    done_.push_back(std::move(done));
  }
  void Stop() override {
    std::vector<Done> all;
    {
      core::MutexLock lock(mutex_);
      all.swap(done_);
    }
    for (Done& done : all) std::move(done)({.scores = absl::CancelledError("stopped")});
  }
  std::optional<experts::MissingReason> Unavailable() const override { return std::nullopt; }

  size_t calls() {
    core::MutexLock lock(mutex_);
    return features_.size();
  }
  /// Of the first call.
  bool FeaturesLive() {
    core::MutexLock lock(mutex_);
    return !features_.front().expired();
  }

 private:
  core::Mutex mutex_;
  std::vector<std::weak_ptr<const core::View>> features_ ABSL_GUARDED_BY(mutex_);
  std::vector<Done> done_ ABSL_GUARDED_BY(mutex_);
};

TEST(ScatterTest, FeaturesAreFreedWhenNobodyWaitsThoughTheExpertHangs) {
  auto owned = std::make_unique<HungExpert>();
  HungExpert& hung = *owned;
  Line line({.settings = {.expert_timeout = 1h}, .rice_expert = std::move(owned)});
  std::stop_source caller;
  auto answer = line.Start(1, With(v1::HARD), Clock::now() + 1h, caller.get_token());
  EXPECT_TRUE(orchard::testing::Eventually([&] { return hung.calls() > 0; }));
  EXPECT_TRUE(hung.FeaturesLive());
  caller.request_stop();
  EXPECT_EQ(answer.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(orchard::testing::Eventually([&] { return !hung.FeaturesLive(); }));
  hung.Stop();
}

TEST(ScatterTest, ACallWhosePicturesHaveAllGoneIsNotMade) {
  Line line;
  std::stop_source caller;
  line.expert(kRiceDisease).AnswerBy([&](const auto& batch, const auto&) {
    caller.request_stop();
    return testing::Scores(batch.rows.size(), 2, 0.9);
  });
  EXPECT_EQ(line.Start(1, With(v1::DENSE), std::nullopt, caller.get_token()).get().status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(line.expert(kFruit).calls(), 0U);
}

TEST(ScatterTest, AnExpertIsToldWhoWaitsForEachRow) {
  HeldEncoder encoder;
  Line line({.gates = {{1, {0.1, 0.8, 0.1}}}, .on_encode = encoder.Hook()});
  auto first = line.Start(1);
  encoder.first_started.wait();
  auto second = line.Start(2);
  auto third = line.Start(3);
  AwaitQueue(line.pipeline(), 2);
  encoder.release.count_down();
  for (auto* answer : {&first, &second, &third}) EXPECT_THAT(answer->get(), IsOk());
  const auto asked = line.expert(kRiceDisease).asked().at(0);
  ASSERT_THAT(asked.context.callers, SizeIs(2));
  EXPECT_EQ(asked.context.callers[0].request_id, "r2");
  EXPECT_EQ(asked.context.callers[1].request_id, "r3");
  EXPECT_EQ(core::ParseTraceparent(asked.context.callers[1].traceparent), testing::TraceOf(3));
}

TEST(ScatterTest, AStoppedFleetEndsWhatWaitsForIt) {
  Line line;
  line.expert(kRiceDisease).AnswerBy(nullptr);
  auto answer = line.Start(1, With(v1::HARD), Clock::now() + 1h);
  line.expert(kRiceDisease).WaitForCalls(1);
  line.fleet().Stop();
  EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease ")));
  line.Stop();  // Waits for nobody.
}

TEST(ScatterTest, AnExpertThatIsDownIsMissingAndNeverAsked) {
  Line line({.has_expert = {true, false, true}});
  line.expert(kVegetable).SetUnavailable(experts::MissingReason::kDown);
  const auto answer = line.Classify(1, With(v1::DENSE));
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(Missing(*answer), ElementsAre("fruit", "vegetable"));
  EXPECT_EQ(line.expert(kVegetable).calls(), 0U);
}

TEST(ScatterTest, AsksWhoIsUpOnceAWaveAndNotForEachCall) {
  Line line;
  EXPECT_THAT(line.Classify(1, With(v1::DENSE)), IsOk());
  EXPECT_EQ(line.expert(kRiceDisease).looks(), 2U);  // Three calls; then: is there another wave?
}

TEST(ScatterTest, IsUnavailableWhenAllAreDown) {
  Line line({.has_expert = {false, false, false}});
  EXPECT_THAT(line.Classify(1, With(v1::DENSE)),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("rice_disease is down"), HasSubstr("fruit is down"),
                             HasSubstr("vegetable is down"))));
  EXPECT_THAT(line.Classify(1, With(v1::EXACT)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is down")));
}

TEST(ScatterTest, AnswersEachOfManyExactlyOnceWhateverExpertsDo) {
  Line line({.usual_gates = {0.4, 0.35, 0.25},
             .settings = {.in_flight = 64, .decode_workers = 2, .encode_workers = 2}});
  line.AnswerWell(kRiceDisease, 0.5);  // So that a second wave follows.
  line.expert(kFruit).AnswerBy(nullptr);
  std::atomic<int> failing = 0;
  line.expert(kVegetable).AnswerBy([&](const auto& batch, const auto&) -> FakeExpert::Answer {
    if (failing.fetch_add(1) % 2 == 0) return absl::UnavailableError("now and then");
    return testing::Scores(batch.rows.size(), 2, 0.9);
  });
  std::atomic<bool> stop = false;
  std::jthread fruit([&] {
    while (!stop) {
      line.expert(kFruit).AnswerAllBy([](const auto& batch, const auto&) {
        return testing::Scores(batch.rows.size(), 3, 0.9);
      });
      std::this_thread::yield();
    }
  });
  std::atomic<int> answered = 0;
  {
    std::vector<std::jthread> callers;
    callers.reserve(4);
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        for (std::uint8_t i = 0; i < 100; ++i) {
          const auto deadline = i % 10 == 0 ? Clock::now() + 1ms : Clock::now() + 10s;
          const v1::Policy policy = i % 2 == 0 ? v1::DENSE : v1::EXACT;
          std::stop_source self;
          auto answer = line.Start(i, With(policy), deadline, self.get_token());
          if (i % 5 == 0) self.request_stop();
          answer.wait();
          answered.fetch_add(1);
        }
      });
    }
  }
  stop = true;
  EXPECT_EQ(answered, 400);
  EXPECT_EQ(line.pipeline().Load().in_flight, 0);
}

}  // namespace
}  // namespace orchard::router
