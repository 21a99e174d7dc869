#include "model/expert_head.h"

#include <cmath>
#include <random>
#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/log_space.h"
#include "model/encoder.h"
#include "model/internal/networks.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/head.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/shared_model.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

std::vector<float> Features(size_t count) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
  std::vector<float> features(count);
  for (float& value : features) value = uniform(random);
  return features;
}

/// Every domain of the shared model: one of each architecture.
class ExpertHeadTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    PrepareInferenceThread();
    auto loaded = ExpertHead::Load(SharedModel(), SharedManifest(), GetParam());
    ASSERT_THAT(loaded, IsOk());
    expert_ = *std::move(loaded);
  }
  std::unique_ptr<ExpertHead> expert_;
};

TEST_P(ExpertHeadTest, EqualsTheHeadRunEagerlyAndCalibrated) {
  const v1::ExpertPart& part = expert_->part();
  const std::vector<float> features = Features(2 * expert_->row_width());
  const auto scores = expert_->Score(features, 2);
  ASSERT_THAT(scores, IsOk());
  const auto network = internal::NetworkOf(part.architecture());
  ASSERT_THAT(network, IsOk());
  const auto head = nets::MakeHead(*network, {.classes = part.classes_size()});
  ASSERT_THAT(head, IsOk());
  ASSERT_THAT(LoadState(**head, *ReadPart(SharedModel(), part.file()), "", "f"), IsOk());
  (*head)->eval();
  const torch::NoGradGuard guard;
  std::vector<int64_t> shape = nets::RowShape(expert_->feature_kind());
  shape.insert(shape.begin(), 2);
  const torch::Tensor logits =
      (*head)->forward(torch::from_blob(const_cast<float*>(features.data()), shape)).contiguous();
  ASSERT_EQ(scores->classes, static_cast<size_t>(part.classes_size()));
  for (size_t row = 0; row < 2; ++row) {
    const std::span<const float> own(logits.data_ptr<float>() + row * scores->classes,
                                     scores->classes);
    const auto want = core::LogSoftmax(own, part.temperature());
    const double size = torch::abs(logits).max().item<double>();
    for (size_t c = 0; c < scores->classes; ++c) {
      EXPECT_NEAR(scores->Row(row)[c], want[c], 1e-5 * size + 1e-5);
    }
    const std::vector<double> wide(own.begin(), own.end());
    EXPECT_NEAR(scores->energy[row], core::LogSumExp(wide), 1e-5 * size + 1e-5);
  }
}

TEST_P(ExpertHeadTest, BatchMatesChangeNoBit) {
  constexpr size_t kMost = 16;
  const size_t width = expert_->row_width();
  const std::vector<float> features = Features(kMost * width);
  std::vector<ScoreBatch> alone;
  for (size_t row = 0; row < kMost; ++row) {
    auto scores = expert_->Score(std::span(features).subspan(row * width, width), 1);
    ASSERT_THAT(scores, IsOk());
    alone.push_back(*std::move(scores));
  }
  for (size_t rows = 2; rows <= kMost; ++rows) {
    const auto batch = expert_->Score(std::span(features).first(rows * width), rows);
    ASSERT_THAT(batch, IsOk());
    for (size_t row = 0; row < rows; ++row) {
      EXPECT_TRUE(std::ranges::equal(batch->Row(row), alone[row].Row(0)))
          << "row " << row << " of " << rows;
      EXPECT_EQ(batch->energy[row], alone[row].energy[0]);
    }
  }
}

TEST_P(ExpertHeadTest, RefusesAWrongSize) {
  const std::vector<float> features = Features(expert_->row_width());
  EXPECT_THAT(expert_->Score(features, 2),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(GetParam()), HasSubstr("for 2 rows"))));
  EXPECT_THAT(expert_->Score({}, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("for 0 rows")));
}

INSTANTIATE_TEST_SUITE_P(Domains, ExpertHeadTest,
                         ::testing::Values("fruit", "vegetable", "leaf", "grain"),
                         [](const auto& param_info) { return param_info.param; });

TEST(ExpertHeadScoreTest, LogitsThatAreNotFiniteAreAnError) {
  // "fruit" is linear: no ReLU swallows the NaN on its way.
  const auto expert = ExpertHead::Load(SharedModel(), SharedManifest(), "fruit");
  ASSERT_THAT(expert, IsOk());
  std::vector<float> features = Features((*expert)->row_width());
  features[3] = std::nanf("");
  EXPECT_THAT((*expert)->Score(features, 1),
              StatusIs(absl::StatusCode::kInternal, AllOf(HasSubstr("fruit"), HasSubstr("NaN"))));
}

TEST(ExpertHeadLoadTest, RefusesAnotherEncodersExpert) {
  v1::ModelManifest manifest = SharedManifest();
  manifest.mutable_experts(0)->set_encoder_fingerprint("0123456789abcdef");
  EXPECT_THAT(ExpertHead::Load(SharedModel(), manifest, "fruit"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("fruit.safetensors"), HasSubstr("0123456789abcdef"),
                             HasSubstr(manifest.encoder().fingerprint()))));
}

TEST(ExpertHeadLoadTest, NamesTheDomainsThatThereAre) {
  EXPECT_THAT(
      ExpertHead::Load(SharedModel(), SharedManifest(), "moon"),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("tiny/1"), HasSubstr("\"moon\""),
                                                  HasSubstr("fruit, vegetable, leaf, grain"))));
}

TEST(ExpertHeadLoadTest, RefusesAKindOfFeatureThatTheArchitectureDoesNotRead) {
  for (const v1::FeatureKind kind : {v1::MAP, v1::IMAGE}) {
    v1::ModelManifest manifest = SharedManifest();
    manifest.mutable_experts(0)->set_feature_kind(kind);
    EXPECT_THAT(ExpertHead::Load(SharedModel(), manifest, "fruit"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("fruit.safetensors"), HasSubstr("another kind"))));
  }
}

}  // namespace
}  // namespace orchard::model
