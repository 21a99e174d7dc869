#include "router/pipeline.h"

#include <atomic>
#include <latch>
#include <ostream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using testing::AwaitQueue;
using ::testing::HasSubstr;
using testing::HeldEncoder;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using testing::Line;
using ::testing::Not;
using testing::Pinned;
using testing::With;
using namespace std::chrono_literals;

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

void PrintTo(const PolicyCase& policy, std::ostream* out) { *out << policy.name; }

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

TEST(PipelineTest, MicroBatchesStayWithinTheirLimit) {
  HeldEncoder encoder;
  Line line({.settings = {.max_batch = 2}, .on_encode = encoder.Hook()});
  std::vector<std::future<testing::Answer>> answers;
  answers.push_back(line.Start(1));
  encoder.first_started.wait();
  for (std::uint8_t red = 2; red <= 6; ++red) answers.push_back(line.Start(red));
  AwaitQueue(line.pipeline(), 5);
  encoder.release.count_down();
  for (auto& answer : answers) EXPECT_THAT(answer.get(), IsOk());
  EXPECT_EQ(encoder.passes, 4);  // 1 + 2 + 2 + 1
}

TEST(PipelineTest, BelowTheThresholdTheAnswerIsOfLowConfidence) {
  Line line({.usual_gates = {0.4, 0.3, 0.3}});
  for (size_t domain = 0; domain < testing::kSmallDomains; ++domain) line.AnswerWell(domain, 0.5);
  const auto answer = line.Classify();
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->outcome(), v1::LOW_CONFIDENCE);
  EXPECT_EQ(answer->predictions(0).domain(), "rice_disease");
  EXPECT_NEAR(answer->predictions(0).probability(), 0.2, 1e-6);
  EXPECT_EQ(answer->concepts(0).label(), "carrot");  // Of two domains.
  EXPECT_NEAR(answer->concepts(0).probability(), 0.225, 1e-6);
}

TEST(PipelineTest, APictureUnlikeAnyKnownIsOfAnUnknownDomainAndStillHasPredictions) {
  Line line({.unknown_score = -11.0});
  const auto answer = line.Classify();
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->outcome(), v1::UNKNOWN_DOMAIN);
  EXPECT_EQ(answer->unknown_score(), -11.0);
  EXPECT_EQ(answer->predictions(0).label(), "blast");
  EXPECT_NEAR(answer->predictions(0).probability(), 0.63, 1e-6);
  EXPECT_EQ(answer->concepts(0).label(), "blast");
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
  line.pipeline().Start({.model = line.model(), .image = "not a picture"},
                        [&](const auto& given) { answer.set_value(testing::Rendered(given)); });
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
  line.pipeline().Start({.model = line.model(), .image = "not a picture"}, [&](const auto&) {
    decoding.count_down();  // On the decoder's one thread, which has nothing else to do meanwhile.
    release.wait();
  });
  decoding.wait();
  auto second = line.Start(2);
  EXPECT_THAT(line.Classify(3),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("decode queue is full")));
  release.count_down();
  EXPECT_THAT(second.get(), IsOk());
}

TEST(PipelineTest, APictureWhoseCallerHasGoneDoesNotEnterABatch) {
  HeldEncoder encoder;
  Line line({.on_encode = encoder.Hook()});
  auto first = line.Start(1);
  encoder.first_started.wait();
  std::stop_source caller;
  auto second = line.Start(2, {}, std::nullopt, caller.get_token());
  AwaitQueue(line.pipeline(), 1);
  caller.request_stop();
  encoder.release.count_down();
  EXPECT_EQ(second.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_EQ(encoder.passes, 1);
}

TEST(PipelineTest, AJobForNoModelIsOurMistakeAndAnswered) {
  Line line;
  std::promise<testing::Answer> answer;
  line.pipeline().Start({.image = "not a picture"},
                        [&](const auto& given) { answer.set_value(testing::Rendered(given)); });
  EXPECT_EQ(answer.get_future().get().status().code(), absl::StatusCode::kInternal);
}

TEST(PipelineTest, ADeadlineThatPassesInTheQueueIsNotSpentOnTheEncoder) {
  HeldEncoder encoder;
  Line line({.on_encode = encoder.Hook()});
  auto first = line.Start(1);
  encoder.first_started.wait();
  const Clock::time_point deadline = Clock::now() + 20ms;
  auto second = line.Start(2, {}, deadline);
  AwaitQueue(line.pipeline(), 1);
  while (Clock::now() < deadline) std::this_thread::yield();
  encoder.release.count_down();
  EXPECT_EQ(second.get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_EQ(encoder.passes, 1);
}

/// A line whose first forward pass took long: what has less time than that is refused.
class SlowSpellTest : public ::testing::Test {
 protected:
  static constexpr auto kSlow = 200ms;
  static constexpr auto kLittle = 100ms;

  SlowSpellTest()
      : line_({.on_encode = [this] {
          const Clock::time_point until = Clock::now() + (slow_ ? Clock::duration(kSlow) : 0ms);
          while (Clock::now() < until) std::this_thread::yield();
          return absl::OkStatus();
        }}) {
    EXPECT_THAT(line_.Classify(), IsOk());
    slow_ = false;
  }

  /// Whether a picture is refused that has less time than the slow pass took, and enough in truth.
  bool Refused() {
    const absl::Status status = line_.Start(1, {}, Clock::now() + kLittle).get().status();
    return absl::IsDeadlineExceeded(status);
  }

  std::atomic<bool> slow_ = true;
  Line line_;
};

TEST_F(SlowSpellTest, RefusalsUnderLoadDoNotLowerTheEstimate) {
  line_.expert(kFruit).AnswerBy(nullptr);
  auto busy = line_.Start(2, Pinned("fruit"));
  line_.expert(kFruit).WaitForCalls(1);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Refused()) << i;
  line_.expert(kFruit).AnswerAll(testing::Scores(1, 3, 0.9));
  EXPECT_THAT(busy.get(), IsOk());
}

TEST_F(SlowSpellTest, ADeadlineThatHadPassedSaysNothingOfTheTimeNeeded) {
  for (int i = 0; i < 100; ++i)
    EXPECT_THAT(line_.Start(1, {}, Clock::now() - 1ms).get(), Not(IsOk()));
  EXPECT_TRUE(Refused());
}

TEST_F(SlowSpellTest, EndsWhenNobodyElseIsThere) {
  int refused = 0;
  while (Refused() && refused < 1000) ++refused;
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 100);
}

TEST(PipelineTest, AFailingEncoderIsInternal) {
  Line line({.on_encode = [] { return absl::InternalError("out of paper"); }});
  EXPECT_THAT(line.Classify(), StatusIs(absl::StatusCode::kInternal,
                                        AllOf(HasSubstr("the encoder failed"), HasSubstr("r1"),
                                              Not(HasSubstr("out of paper")))));
}

TEST(PipelineTest, APictureThatTheEncoderFailsOnLeavesItsMatesAlone) {
  HeldEncoder encoder;
  Line line({.on_encode = encoder.Hook(), .broken = 3});
  auto first = line.Start(1);
  encoder.first_started.wait();
  auto second = line.Start(2);
  auto broken = line.Start(3);
  auto fourth = line.Start(4);
  AwaitQueue(line.pipeline(), 3);
  encoder.release.count_down();
  EXPECT_THAT(broken.get(), StatusIs(absl::StatusCode::kInternal, HasSubstr("request id r3")));
  for (auto* answer : {&first, &second, &fourth}) EXPECT_THAT(answer->get(), IsOk());
  EXPECT_EQ(encoder.passes, 1 + 1 + 3);
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

}  // namespace
}  // namespace orchard::router
