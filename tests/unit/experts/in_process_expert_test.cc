#include "experts/in_process_expert.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/allocations.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kSampleWidth;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::ShortMemory;
using testing::StatusIs;
using testing::WholeBatch;

using Answer = absl::StatusOr<model::ScoreBatch>;

const CallContext kNoHurry{.deadline = core::Clock::time_point::max()};

/// Asks, and expects the answer on this thread before Score returns.
Answer Ask(Expert& expert, SubBatch batch, const CallContext& context = kNoHurry) {
  std::optional<Answer> answer;
  expert.Score(std::move(batch), context, [&, asked_on = std::this_thread::get_id()](Scored s) {
    EXPECT_EQ(std::this_thread::get_id(), asked_on);
    EXPECT_FALSE(answer.has_value());
    answer = std::move(s.scores);
  });
  EXPECT_TRUE(answer.has_value());
  return answer.has_value() ? *std::move(answer) : absl::UnknownError("no answer");
}

TEST(InProcessExpertTest, AnswersRowsInTheirOrder) {
  InProcessExpert expert(SampleSpec(), SampleScores);
  const auto features = SampleFeatures(5);
  const Answer all = Ask(expert, WholeBatch(features));
  const Answer some = Ask(expert, {features, {4, 0, 2}});
  ASSERT_THAT(all, IsOk());
  ASSERT_THAT(some, IsOk());
  EXPECT_EQ(some->rows, 3U);
  for (const auto& [row, of_all] : {std::pair<size_t, size_t>{0, 4}, {1, 0}, {2, 2}}) {
    EXPECT_EQ(some->energy[row], all->energy[of_all]);
    EXPECT_TRUE(std::ranges::equal(some->Row(row), all->Row(of_all)));
  }
  EXPECT_EQ(expert.Unavailable(), std::nullopt);
}

TEST(InProcessExpertTest, CopiesNothingWhenRowsLieTogether) {
  const auto features = SampleFeatures(4);
  const float* seen = nullptr;
  InProcessExpert expert(SampleSpec(), [&](std::span<const float> values, size_t rows) {
    seen = values.data();
    EXPECT_EQ(values.size(), rows * kSampleWidth);
    return SampleScores(values, rows);
  });
  ASSERT_THAT(Ask(expert, WholeBatch(features)), IsOk());
  EXPECT_EQ(seen, features->Floats().data());
  ASSERT_THAT(Ask(expert, {features, {2}}), IsOk());
  EXPECT_EQ(seen, features->Floats().data() + 2 * kSampleWidth);
  ASSERT_THAT(Ask(expert, {features, {1, 3}}), IsOk());
  EXPECT_NE(seen, features->Floats().data() + kSampleWidth);
}

TEST(InProcessExpertTest, ReadsTheKindThatItsSpecNames) {
  const auto sample = SampleFeatures(2);
  const auto map = testing::SampleView({sample->Floats().begin(), sample->Floats().end()},
                                       core::FeatureKind::kMap);
  ExpertSpec spec = SampleSpec();
  spec.kind = core::FeatureKind::kMap;
  InProcessExpert expert(spec, SampleScores);
  EXPECT_THAT(Ask(expert, WholeBatch(map)), IsOk());
  EXPECT_THAT(Ask(expert, WholeBatch(sample)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reads MAP [8]")));
}

TEST(InProcessExpertTest, ReadsPicturesAsNumbersUpTo255) {
  ExpertSpec spec = SampleSpec();
  spec.kind = core::FeatureKind::kImage;
  spec.row_shape = {1, 1, 3};
  std::vector<float> seen;
  InProcessExpert expert(spec, [&](std::span<const float> values, size_t rows) {
    seen.assign(values.begin(), values.end());
    return testing::SampleScores(std::vector<float>(rows * kSampleWidth), rows);
  });
  const auto view =
      std::make_shared<const core::View>(std::make_shared<const core::ViewSpec>(spec.View()),
                                         std::vector<std::uint8_t>{0, 127, 255, 1, 2, 3});
  ASSERT_THAT(Ask(expert, {view, {1, 0}}), IsOk());
  EXPECT_EQ(seen, (std::vector<float>{1, 2, 3, 0, 127, 255}));
}

TEST(InProcessExpertTest, SavesTheWorkWhenTheDeadlineHasPassed) {
  InProcessExpert expert(SampleSpec(), [](auto, auto) -> Answer {
    ADD_FAILURE() << "computed for nobody";
    return absl::UnknownError("");
  });
  EXPECT_THAT(Ask(expert, WholeBatch(SampleFeatures(1)), {.deadline = core::Clock::now()}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("apple")));
}

TEST(InProcessExpertTest, PassesFailuresOn) {
  InProcessExpert expert(SampleSpec(),
                         [](auto, auto) -> Answer { return absl::InternalError("out of luck"); });
  EXPECT_THAT(Ask(expert, WholeBatch(SampleFeatures(1))),
              StatusIs(absl::StatusCode::kInternal, "out of luck"));
}

TEST(InProcessExpertTest, WithoutMemoryItIsOverloadedAndNothingIsThrown) {
  constexpr size_t kRows = 200;
  InProcessExpert expert(SampleSpec(), SampleScores);
  SubBatch batch = WholeBatch(SampleFeatures(kRows));
  std::ranges::reverse(batch.rows);  // They don't lie together: they are gathered.
  std::optional<Scored> scored;
  {
    const ShortMemory memory(kRows * kSampleWidth * sizeof(float));
    expert.Score(std::move(batch), kNoHurry, [&](Scored s) { scored = std::move(s); });
  }
  EXPECT_THAT(scored->scores, StatusIs(absl::StatusCode::kResourceExhausted, "apple: no memory"));
  EXPECT_EQ(scored->reason, MissingReason::kOverloaded);
}

TEST(InProcessExpertTest, AnAnswerThatIsNoneCountsAsAFailure) {
  InProcessExpert nan(SampleSpec(), [](auto features, size_t rows) {
    Answer answer = SampleScores(features, rows);
    answer->log_probabilities[1] = std::numeric_limits<float>::quiet_NaN();
    return answer;
  });
  EXPECT_THAT(Ask(nan, WholeBatch(SampleFeatures(1))),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("nan for class 1 of row 0")));
  InProcessExpert short_of_rows(
      SampleSpec(), [](auto features, size_t rows) { return SampleScores(features, rows - 1); });
  EXPECT_THAT(Ask(short_of_rows, WholeBatch(SampleFeatures(2))),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("expected 2 rows of 3")));
}

TEST(InProcessExpertTest, RefusesBatchesThatDoNotFit) {
  InProcessExpert expert(SampleSpec(), SampleScores);
  const auto features = SampleFeatures(2);
  EXPECT_THAT(Ask(expert, {features, {}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("without rows")));
  EXPECT_THAT(Ask(expert, {features, {0, 2}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("row 2 of a batch of 2")));
  ExpertSpec wider = SampleSpec();
  wider.row_shape = {3, 3};
  InProcessExpert other(wider, SampleScores);
  EXPECT_THAT(Ask(other, {features, {0}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reads POOLED [3, 3]")));
}

}  // namespace
}  // namespace orchard::experts
