#include "router/pipeline.h"

#include <atomic>
#include <latch>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::FakeExpert;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using testing::Line;
using ::testing::SizeIs;
using namespace std::chrono_literals;

v1::ClassifyOptions With(v1::Policy policy) {
  v1::ClassifyOptions options;
  options.set_policy(policy);
  return options;
}

std::vector<std::string> Missing(const v1::ClassifyResponse& response) {
  return {response.missing().begin(), response.missing().end()};
}

TEST(PipelineTest, ClassifiesAPicture) {
  Line line;
  const auto answer = line.Classify();
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->predictions(0).label(), "blast");
  EXPECT_EQ(answer->predictions(0).domain(), "rice_disease");
  EXPECT_NEAR(answer->predictions(0).probability(), 0.63, 1e-6);
  EXPECT_NEAR(answer->predictions(0).conditional(), 0.9, 1e-6);
  EXPECT_NEAR(answer->coverage(), 0.7, 1e-6);
  EXPECT_TRUE(answer->exact());
  EXPECT_FALSE(answer->degraded());
  EXPECT_EQ(answer->outcome(), v1::OK);
  EXPECT_EQ(answer->model_version(), "small/7");
  EXPECT_EQ(answer->routing().policy(), v1::EXACT);
  EXPECT_EQ(answer->routing().branch(), "disease");
  EXPECT_GT(answer->timings().total_ms(), 0.0);
  EXPECT_GE(answer->timings().total_ms(), answer->timings().decode_ms());
  EXPECT_EQ(line.expert(kRiceDisease).calls(), 1U);
  EXPECT_EQ(line.expert(kFruit).calls(), 0U);
}

TEST(PipelineTest, ExactEqualsDenseForFewerExperts) {
  Line line({.usual_gates = {0.4, 0.35, 0.25}});
  line.AnswerWell(kRiceDisease, 0.5);
  const auto exact = line.Classify(1, With(v1::EXACT));
  const auto dense = line.Classify(1, With(v1::DENSE));
  ASSERT_THAT(exact, IsOk());
  ASSERT_THAT(dense, IsOk());
  EXPECT_EQ(exact->predictions(0).label(), "apple");
  EXPECT_EQ(exact->predictions(0).SerializeAsString(), [&] {
    v1::Prediction best = dense->predictions(0);
    best.set_conditional(exact->predictions(0).conditional());
    return best.SerializeAsString();
  }());
  EXPECT_TRUE(exact->exact());
  EXPECT_FALSE(exact->routing().domains(kVegetable).activated());
}

struct PolicyCase {
  std::string name;
  v1::ClassifyOptions options;
  std::vector<bool> asked;
};

class PipelinePolicyTest : public ::testing::TestWithParam<PolicyCase> {};

TEST_P(PipelinePolicyTest, AsksTheExpertsOfThePolicy) {
  Line line;
  const auto answer = line.Classify(1, GetParam().options);
  ASSERT_THAT(answer, IsOk());
  for (size_t domain = 0; domain < testing::kSmallDomains; ++domain) {
    const bool asked = GetParam().asked[domain];
    EXPECT_EQ(line.expert(domain).calls(), asked ? 1U : 0U) << domain;
    EXPECT_EQ(answer->routing().domains(static_cast<int>(domain)).activated(), asked) << domain;
    EXPECT_EQ(answer->routing().domains(static_cast<int>(domain)).answered(), asked) << domain;
  }
  EXPECT_FALSE(answer->degraded());
}

v1::ClassifyOptions Pinned(const std::string& domain) {
  v1::ClassifyOptions options;
  options.set_domain(domain);
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Table, PipelinePolicyTest,
    ::testing::Values(PolicyCase{"Exact", With(v1::EXACT), {true, false, false}},
                      PolicyCase{"Hard", With(v1::HARD), {true, false, false}},
                      PolicyCase{"TopK", With(v1::TOP_K), {true, true, false}},
                      PolicyCase{"Threshold", With(v1::THRESHOLD), {true, true, true}},
                      PolicyCase{"Nucleus", With(v1::NUCLEUS), {true, true, false}},
                      PolicyCase{"Dense", With(v1::DENSE), {true, true, true}},
                      PolicyCase{"Pinned", Pinned("vegetable"), {false, false, true}}),
    [](const auto& param_info) { return param_info.param.name; });

/// Holds the first forward pass, so that what comes meanwhile makes one micro-batch.
struct Gate {
  std::latch first_started{1};
  std::latch release{1};
  std::atomic<int> passes = 0;

  std::function<absl::Status()> Hook() {
    return [this] {
      if (passes.fetch_add(1) == 0) {
        first_started.count_down();
        release.wait();
      }
      return absl::OkStatus();
    };
  }
};

/// Until `waiting` requests wait for the encoder, which is busy.
void AwaitQueue(Pipeline& pipeline, size_t waiting) {
  while (pipeline.Load().encode_waiting < waiting) std::this_thread::yield();
}

TEST(PipelineTest, PicturesOfAMicroBatchShareACallToAnExpert) {
  Gate gate;
  Line line({.gates = {{4, {0.1, 0.8, 0.1}}}, .on_encode = gate.Hook()});
  auto first = line.Start(1);
  gate.first_started.wait();
  auto second = line.Start(2);
  auto third = line.Start(3);
  auto fruit = line.Start(4);
  AwaitQueue(line.pipeline(), 3);
  gate.release.count_down();
  for (auto* answer : {&first, &second, &third}) {
    EXPECT_EQ(answer->get()->predictions(0).label(), "blast");
  }
  EXPECT_EQ(fruit.get()->predictions(0).label(), "apple");
  const auto asked = line.expert(kRiceDisease).asked();
  ASSERT_THAT(asked, SizeIs(2));
  EXPECT_THAT(asked[1].batch.rows, SizeIs(2));
  EXPECT_EQ(asked[1].batch.features->rows, 3U);
  EXPECT_THAT(line.expert(kFruit).asked()[0].batch.rows, SizeIs(1));
}

TEST(PipelineTest, MicroBatchesStayWithinTheirLimit) {
  Gate gate;
  Line line({.settings = {.max_batch = 2}, .on_encode = gate.Hook()});
  std::vector<std::future<testing::Answer>> answers;
  answers.push_back(line.Start(1));
  gate.first_started.wait();
  for (std::uint8_t red = 2; red <= 6; ++red) answers.push_back(line.Start(red));
  AwaitQueue(line.pipeline(), 5);
  gate.release.count_down();
  for (auto& answer : answers) EXPECT_THAT(answer.get(), IsOk());
  EXPECT_EQ(gate.passes, 4);  // 1 + 2 + 2 + 1
}

TEST(PipelineTest, APictureWaitsOnlyForItsOwnExperts) {
  Gate gate;
  Line line({.gates = {{3, {0.1, 0.8, 0.1}}}, .on_encode = gate.Hook()});
  line.expert(kRiceDisease).AnswerBy(nullptr);  // By hand.
  auto warm = line.Start(1);
  gate.first_started.wait();
  auto slow = line.Start(2);
  auto quick = line.Start(3);
  AwaitQueue(line.pipeline(), 2);
  gate.release.count_down();
  EXPECT_THAT(quick.get(), IsOk());
  EXPECT_EQ(slow.wait_for(0s), std::future_status::timeout);
  line.expert(kRiceDisease).WaitForCalls(2);
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9));
  EXPECT_THAT(slow.get(), IsOk());
  EXPECT_THAT(warm.get(), IsOk());
}

TEST(PipelineTest, WavesOfManyExpertsGoThroughByHandToo) {
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

// What can go wrong with experts: design.md section 7.

struct ExpertFault {
  std::string name;
  FakeExpert::Answer answer;
};

class PipelineExpertFaultTest : public ::testing::TestWithParam<ExpertFault> {
 protected:
  static FakeExpert::Rule Faulty() {
    return [](const experts::SubBatch&, const experts::CallContext&) { return GetParam().answer; };
  }
};

TEST_P(PipelineExpertFaultTest, DegradesTheAnswer) {
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

TEST_P(PipelineExpertFaultTest, IsUnavailableWhenItWasTheOnlyOne) {
  Line line;
  line.expert(kRiceDisease).AnswerBy(Faulty());
  EXPECT_THAT(line.Classify(1, With(v1::HARD)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease failed")));
}

model::ScoreBatch NotANumber() {
  model::ScoreBatch scores = testing::Scores(1, 3, 0.9);
  scores.log_probabilities[1] = std::numeric_limits<float>::quiet_NaN();
  return scores;
}

INSTANTIATE_TEST_SUITE_P(
    Table, PipelineExpertFaultTest,
    ::testing::Values(ExpertFault{"Fails", absl::InternalError("broken")},
                      ExpertFault{"Refuses", absl::ResourceExhaustedError("full")},
                      ExpertFault{"OtherEncoder", absl::FailedPreconditionError("fingerprint")},
                      ExpertFault{"NotANumber", NotANumber()},
                      ExpertFault{"TooFewClasses", testing::Scores(1, 4, 0.9)},
                      ExpertFault{"TooManyRows", testing::Scores(2, 3, 0.9)},
                      ExpertFault{"NoRows", model::ScoreBatch{}}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(PipelineTest, ALateExpertDegradesTheAnswerBeforeTheDeadline) {
  Line line;
  line.expert(kFruit).AnswerBy(nullptr);
  const Clock::time_point deadline = Clock::now() + 300ms;
  const auto answer = line.Start(1, With(v1::DENSE), deadline).get();
  EXPECT_LT(Clock::now(), deadline);
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->degraded());
  EXPECT_THAT(Missing(*answer), ElementsAre("fruit"));
  EXPECT_EQ(line.expert(kFruit).AnswerAll(testing::Scores(1, 3, 0.9)), 1U);  // Dropped.
}

TEST(PipelineTest, OnlyLateExpertsExceedTheDeadline) {
  Line line;
  line.expert(kRiceDisease).AnswerBy(nullptr);
  EXPECT_THAT(line.Start(1, With(v1::HARD), Clock::now() + 50ms).get(),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("rice_disease is late")));
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9));
}

TEST(PipelineTest, AnExpertThatIsDownIsMissingAndNeverAsked) {
  Line line({.has_expert = {true, false, true}});
  line.expert(kVegetable).SetAvailable(false);
  const auto answer = line.Classify(1, With(v1::DENSE));
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(Missing(*answer), ElementsAre("fruit", "vegetable"));
  EXPECT_EQ(line.expert(kVegetable).calls(), 0U);
}

TEST(PipelineTest, IsUnavailableWhenAllAreDown) {
  Line line({.has_expert = {false, false, false}});
  EXPECT_THAT(line.Classify(1, With(v1::DENSE)),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("rice_disease is down"), HasSubstr("fruit is down"),
                             HasSubstr("vegetable is down"))));
  EXPECT_THAT(line.Classify(1, With(v1::EXACT)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rice_disease is down")));
}

TEST(PipelineTest, BelowTheThresholdTheAnswerIsOfLowConfidence) {
  Line line({.usual_gates = {0.4, 0.3, 0.3}});
  for (size_t domain = 0; domain < testing::kSmallDomains; ++domain) line.AnswerWell(domain, 0.5);
  EXPECT_EQ(line.Classify()->outcome(), v1::LOW_CONFIDENCE);
}

TEST(PipelineTest, EqualLabelsOfTwoDomainsAreOneConcept) {
  Line line({.usual_gates = {0.1, 0.5, 0.4}});
  line.expert(kFruit).AnswerBy([](const auto&, const auto&) {
    auto scores = testing::Scores(1, 3, 0.9);
    std::swap(scores.log_probabilities[0], scores.log_probabilities[1]);  // Carrot.
    return scores;
  });
  const auto answer = line.Classify(1, With(v1::DENSE));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->concepts(0).label(), "carrot");
  EXPECT_NEAR(answer->concepts(0).probability(), 0.45 + 0.36, 1e-6);
}

// What is refused before work is spent on it.

TEST(PipelineTest, RefusesWhatIsNoPicture) {
  Line line;
  std::promise<testing::Answer> answer;
  line.pipeline().Start({.image = "not a picture"},
                        [&](testing::Answer given) { answer.set_value(std::move(given)); });
  EXPECT_EQ(answer.get_future().get().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PipelineTest, RefusesAFileOverTheLimitWithBothFigures) {
  Line line({.settings = {.limits = {.max_bytes = 100}}});
  EXPECT_THAT(line.Classify(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        AllOf(HasSubstr("203"), HasSubstr("100"))));
}

TEST(PipelineTest, RefusesInvalidOptions) {
  Line line;
  EXPECT_THAT(line.Classify(1, Pinned("cheese")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cheese")));
}

TEST(PipelineTest, RefusesADeadlineThatHasPassed) {
  Line line;
  EXPECT_EQ(line.Start(1, {}, Clock::now() - 1ms).get().status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(line.expert(kRiceDisease).calls(), 0U);
}

TEST(PipelineTest, RefusesOneMoreThanTheInFlightLimitAndRecovers) {
  Line line({.settings = {.in_flight = 1}});
  line.expert(kRiceDisease).AnswerBy(nullptr);
  auto first = line.Start(1);
  line.expert(kRiceDisease).WaitForCalls(1);
  EXPECT_THAT(line.Classify(2), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1")));
  line.expert(kRiceDisease).AnswerAll(testing::Scores(1, 2, 0.9));
  EXPECT_THAT(first.get(), IsOk());
  line.AnswerWell(kRiceDisease);
  EXPECT_THAT(line.Classify(3), IsOk());
}

TEST(PipelineTest, RefusesWhatDoesNotFitTheDecodeQueue) {
  Line line({.settings = {.queue = 1}});
  std::latch decoding(1);
  std::latch release(1);
  std::atomic<int> looks = 0;
  auto first = line.Start(1, {}, std::nullopt, [&] {  // Its second look is the decoder's.
    if (looks.fetch_add(1) == 1) {
      decoding.count_down();
      release.wait();
    }
    return false;
  });
  decoding.wait();
  auto second = line.Start(2);
  EXPECT_THAT(line.Classify(3),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("decode queue is full")));
  release.count_down();
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(second.get(), IsOk());
}

TEST(PipelineTest, APictureWhoseCallerHasGoneDoesNotEnterABatch) {
  Gate gate;
  Line line({.on_encode = gate.Hook()});
  auto first = line.Start(1);
  gate.first_started.wait();
  std::atomic<bool> gone = false;
  auto second = line.Start(2, {}, std::nullopt, [&] { return gone.load(); });
  AwaitQueue(line.pipeline(), 1);
  gone = true;
  gate.release.count_down();
  EXPECT_EQ(second.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_EQ(gate.passes, 1);
}

TEST(PipelineTest, ADeadlineThatPassesInTheQueueIsNotSpentOnTheEncoder) {
  Gate gate;
  Line line({.on_encode = gate.Hook()});
  auto first = line.Start(1);
  gate.first_started.wait();
  const Clock::time_point deadline = Clock::now() + 20ms;
  auto second = line.Start(2, {}, deadline);
  AwaitQueue(line.pipeline(), 1);
  while (Clock::now() < deadline) std::this_thread::yield();
  gate.release.count_down();
  EXPECT_EQ(second.get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_EQ(gate.passes, 1);
}

TEST(PipelineTest, AFailingEncoderIsInternal) {
  Line line({.on_encode = [] { return absl::InternalError("out of paper"); }});
  EXPECT_THAT(line.Classify(), StatusIs(absl::StatusCode::kInternal, HasSubstr("out of paper")));
}

TEST(PipelineTest, AnswersWhatIsInProgressBeforeItEnds) {
  Line line({.settings = {.decode_workers = 2, .encode_workers = 2}});
  std::vector<std::future<testing::Answer>> answers;
  for (std::uint8_t red = 0; red < 50; ++red) answers.push_back(line.Start(red));
  line.Stop();
  for (auto& answer : answers) {
    ASSERT_EQ(answer.wait_for(0s), std::future_status::ready);
    EXPECT_THAT(answer.get(), IsOk());
  }
}

TEST(PipelineTest, AnswersEachOfManyExactlyOnceWhateverExpertsDo) {
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
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        for (std::uint8_t i = 0; i < 100; ++i) {
          const auto deadline = i % 10 == 0 ? Clock::now() + 1ms : Clock::now() + 10s;
          const v1::Policy policy = i % 2 == 0 ? v1::DENSE : v1::EXACT;
          line.Start(i, With(policy), deadline).wait();
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
