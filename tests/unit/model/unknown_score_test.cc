#include "model/unknown_score.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr size_t kWidth = 24;
constexpr size_t kClasses = 3;
constexpr size_t kRowsEach = 60;

v1::UnknownScore Spec(const std::string& kind, int rank, int root = 0, int normalise = 0) {
  v1::UnknownScore spec;
  spec.set_kind(kind);
  (*spec.mutable_arguments())["rank"] = rank;
  (*spec.mutable_arguments())["root"] = root;
  (*spec.mutable_arguments())["normalise"] = normalise;
  return spec;
}

/// Three clouds of rows, the c-th around 3 in the features c, c + 3, c + 6 …, never negative.
struct Clouds {
  std::vector<float> rows;
  std::vector<size_t> labels;

  Clouds() {
    std::mt19937 random(7);
    std::normal_distribution<float> noise(0.0F, 0.3F);
    for (size_t i = 0; i < kClasses * kRowsEach; ++i) {
      labels.push_back(i % kClasses);
      for (size_t d = 0; d < kWidth; ++d) {
        const float centre = d % kClasses == labels.back() ? 3.0F : 1.0F;
        rows.push_back(std::abs(centre + noise(random) * (d < 6 ? 2.0F : 1.0F)));
      }
    }
  }
  std::span<const float> Row(size_t row) const {
    return std::span<const float>(rows).subspan(row * kWidth, kWidth);
  }
};

struct KindCase {
  std::string name;
  v1::UnknownScore spec;
};

class UnknownScoreTest : public ::testing::TestWithParam<KindCase> {
 protected:
  const Clouds clouds_;
};

TEST_P(UnknownScoreTest, FindsStrangersLessFamiliarThanEveryKnownRow) {
  const auto tensors = FitUnknownScore(GetParam().spec, clouds_.rows, kWidth, clouds_.labels);
  ASSERT_THAT(tensors, IsOk());
  const auto score = MakeUnknownScore(GetParam().spec, *tensors, kWidth, "f");
  ASSERT_THAT(score, IsOk());
  // Between two classes and in a direction of its own.
  std::vector<float> stranger(kWidth, 0.2F);
  for (size_t d = 0; d < 6; ++d) stranger[d] = 6.0F;
  const double unknown = (*score)->Score(stranger, {});
  for (size_t row = 0; row < clouds_.labels.size(); ++row) {
    EXPECT_GT((*score)->Score(clouds_.Row(row), {}), unknown) << "row " << row;
  }
}

TEST_P(UnknownScoreTest, NeedsExactlyItsTensors) {
  const auto fitted = FitUnknownScore(GetParam().spec, clouds_.rows, kWidth, clouds_.labels);
  ASSERT_THAT(fitted, IsOk());
  for (const auto& [name, tensor] : *fitted) {
    TensorMap tensors = *fitted;
    tensors.erase(name);
    EXPECT_THAT(MakeUnknownScore(GetParam().spec, tensors, kWidth, "dir/gates"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("dir/gates"), HasSubstr(name + "\" is missing"))));
    tensors = *fitted;
    tensors[name].shape.push_back(1);
    EXPECT_THAT(MakeUnknownScore(GetParam().spec, tensors, kWidth, "dir/gates"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name + "\" has shape")));
  }
  TensorMap tensors = *fitted;
  tensors["unknown.stranger"] = tensors["unknown.mean"];
  EXPECT_THAT(MakeUnknownScore(GetParam().spec, tensors, kWidth, "dir/gates"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown.stranger")));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, UnknownScoreTest,
    ::testing::Values(KindCase{"Plain", Spec("mahalanobis", 8)},
                      KindCase{"Relative", Spec("relative_mahalanobis", 8)},
                      KindCase{"RelativeOfRoots", Spec("relative_mahalanobis", 8, 1)},
                      KindCase{"PlainOfDirections", Spec("mahalanobis", 8, 0, 1)}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(MahalanobisTest, EqualsTheFormulaInTwoDimensions) {
  // Two classes at (±4, 0), within-class variances 1 along x and 0.25 along y, covariance 0; full
  // rank and no shrinkage, so that S is known by hand: S = diag(1, 0.25), S0 = diag(17, 0.25).
  std::vector<float> rows;
  std::vector<size_t> labels;
  for (const float centre : {-4.0F, 4.0F}) {
    for (const float x : {-1.0F, 1.0F}) {
      for (const float y : {-0.5F, 0.5F}) {
        rows.insert(rows.end(), {centre + x, y});
        labels.push_back(centre < 0 ? 0 : 1);
      }
    }
  }
  const auto score_of = [&](const std::string& kind) {
    v1::UnknownScore spec = Spec(kind, 2);
    (*spec.mutable_arguments())["shrink_percent"] = 0;
    const auto tensors = FitUnknownScore(spec, rows, 2, labels);
    EXPECT_THAT(tensors, IsOk());
    auto score = MakeUnknownScore(spec, *tensors, 2, "f");
    EXPECT_THAT(score, IsOk());
    return (*std::move(score))->Score(std::vector<float>{3.0F, 1.0F}, {});
  };
  const double nearest = 1.0 * 1.0 / 1.0 + 1.0 * 1.0 / 0.25;      // to (4, 0)
  const double background = 3.0 * 3.0 / 17.0 + 1.0 * 1.0 / 0.25;  // to (0, 0)
  EXPECT_NEAR(score_of("mahalanobis"), -nearest, 5e-3);           // W is stored in FP16.
  EXPECT_NEAR(score_of("relative_mahalanobis"), background - nearest, 5e-3);
}

TEST(UnknownScoreFitTest, RefusesWhatItCannotFit) {
  const Clouds clouds;
  const auto fit = [&](const v1::UnknownScore& spec, std::vector<size_t> labels) {
    return FitUnknownScore(spec, clouds.rows, kWidth, labels).status();
  };
  EXPECT_THAT(fit(Spec("knn", 8), clouds.labels),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"knn\"; known: mahalanobis, relative_mahalanobis")));
  EXPECT_THAT(fit(Spec("mahalanobis", 25), clouds.labels),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rank 25")));
  EXPECT_THAT(fit(Spec("mahalanobis", 0), clouds.labels),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rank is 0, must be in [1")));
  v1::UnknownScore misspelt = Spec("mahalanobis", 8);
  (*misspelt.mutable_arguments())["rnak"] = 8;
  EXPECT_THAT(fit(misspelt, clouds.labels),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"rnak\"")));
  std::vector<size_t> gap = clouds.labels;
  for (size_t& label : gap) label = label == 1 ? 5 : label;
  EXPECT_THAT(fit(Spec("mahalanobis", 8), gap),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("class 1 of 6 has no row")));
  EXPECT_THAT(fit(Spec("mahalanobis", 8), {0, 1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("for 2 rows")));
}

}  // namespace
}  // namespace orchard::model
