#include "model/part_network.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "model/encoder.h"
#include "model/expert_head.h"
#include "model/gates.h"
#include "model/manifest.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_vit.h"
#include "tests/unit/model/shared_model.h"

namespace orchard::model {
namespace {

using testing::IsOk;

constexpr size_t kRows = 3;
constexpr double kRounding = 1e-4;         // of heads, on the same features
constexpr double kEncoderRounding = 1e-3;  // of what is near 10: served kernels fold the norms

/// Drawn pictures, row by row.
std::vector<std::uint8_t> Drawn(size_t side) {
  std::vector<std::uint8_t> pixels;
  for (size_t row = 0; row < kRows; ++row) {
    const vision::Image image = testing::DrawLeaf(side, side, row);
    pixels.insert(pixels.end(), image.rgb.begin(), image.rgb.end());
  }
  return pixels;
}

torch::Tensor PixelTensor(std::vector<std::uint8_t>& pixels, const PartNetwork& part) {
  std::vector<int64_t> shape = part.row_shape;
  shape.insert(shape.begin(), static_cast<int64_t>(kRows));
  return torch::from_blob(pixels.data(), shape, torch::kUInt8);
}

/// The numbers as a tensor of the shape of `tensor`.
torch::Tensor Like(const torch::Tensor& tensor, std::span<const float> numbers) {
  return torch::tensor(at::ArrayRef<float>(numbers.data(), numbers.size())).view(tensor.sizes());
}

/// `served`, row-major, against a tensor: the largest difference.
template <typename Number>
double Difference(std::span<const Number> served, const torch::Tensor& tensor) {
  const torch::Tensor own = tensor.to(torch::kFloat64).contiguous();
  EXPECT_EQ(static_cast<int64_t>(served.size()), own.numel());
  double largest = 0.0;
  for (size_t i = 0; i < served.size(); ++i) {
    largest =
        std::max(largest, std::abs(static_cast<double>(served[i]) - own.data_ptr<double>()[i]));
  }
  return largest;
}

TEST(PartNetworkTest, SaysWhatTheServedPartsSay) {
  PrepareInferenceThread();
  const auto parts = ReadPartNetworks(SharedModel(), SharedManifest());
  ASSERT_THAT(parts, IsOk());
  ASSERT_EQ(parts->size(), 2 + static_cast<size_t>(SharedManifest().experts_size()));
  const torch::NoGradGuard no_gradients;

  std::vector<std::uint8_t> pixels = Drawn(224);
  const auto encoder =
      Encoder::Load(SharedModel(), SharedManifest().encoder(), EncoderPrecision::kFp32);
  ASSERT_THAT(encoder, IsOk());
  const auto features = (*encoder)->Encode(pixels, kRows);
  ASSERT_THAT(features, IsOk());
  const auto pooled = features->Find(core::FeatureKind::kPooled)->Floats();
  const auto map = features->Find(core::FeatureKind::kMap)->Floats();
  const PartNetwork& first = parts->front();
  EXPECT_EQ(first.name, "encoder");
  const auto made = first.forward(PixelTensor(pixels, first));
  EXPECT_LT(Difference(map, made.at(0)), kEncoderRounding);
  EXPECT_LT(Difference(pooled, made.at(1)), kEncoderRounding);

  // What is behind the encoder is asked about the served features.
  const torch::Tensor served_map = Like(made.at(0), map);
  const torch::Tensor served_pooled = Like(made.at(1), pooled);
  const auto gates = Gates::Load(SharedModel(), SharedManifest());
  ASSERT_THAT(gates, IsOk());
  const GateBatch decided = *(*gates)->Evaluate(*features);
  const auto gate_answers = (*parts)[1].forward(served_pooled);
  EXPECT_LT(Difference(std::span<const double>(decided.log_branch), gate_answers.at(0)), kRounding);
  EXPECT_LT(Difference(std::span<const double>(decided.log_domain), gate_answers.at(1)), kRounding);

  for (size_t i = 2; i < parts->size(); ++i) {
    const PartNetwork& part = (*parts)[i];
    const auto expert = ExpertHead::Load(SharedModel(), SharedManifest(), part.name.substr(8));
    ASSERT_THAT(expert, IsOk());
    const bool reads_map = (*expert)->feature_kind() == core::FeatureKind::kMap;
    EXPECT_EQ(part.input, reads_map ? "map" : "pooled");
    const ScoreBatch scores = *(*expert)->Score(reads_map ? map : pooled, kRows);
    const auto answers = part.forward(reads_map ? served_map : served_pooled);
    EXPECT_LT(Difference(std::span<const float>(scores.log_probabilities), answers.at(0)),
              kRounding)
        << part.name;
    EXPECT_LT(Difference(std::span<const float>(scores.energy), answers.at(1)), kRounding);
    EXPECT_EQ(part.labels.size(), scores.classes);
  }
}

TEST(PartNetworkTest, SaysWhatAnExpertOnPicturesSays) {
  const testing::TempDir dir;
  const auto manifest = testing::WriteTinyVit(dir / "1");
  ASSERT_THAT(manifest, IsOk());
  const auto parts = ReadPartNetworks(dir / "1", *manifest);
  ASSERT_THAT(parts, IsOk());
  ASSERT_EQ(parts->size(), 1U);
  const PartNetwork& part = parts->front();
  EXPECT_EQ(part.input, "pixels");
  std::vector<std::uint8_t> pixels = Drawn(testing::kTinyVitSide);
  const auto expert = ExpertHead::Load(dir / "1", *manifest, "sign");
  ASSERT_THAT(expert, IsOk());
  const std::vector<float> numbers(pixels.begin(), pixels.end());
  const ScoreBatch scores = *(*expert)->Score(numbers, kRows);
  const torch::NoGradGuard no_gradients;
  const auto answers = part.forward(PixelTensor(pixels, part));
  EXPECT_LT(Difference(std::span<const float>(scores.log_probabilities), answers.at(0)), kRounding);
  EXPECT_LT(Difference(std::span<const float>(scores.energy), answers.at(1)), kRounding);
}

}  // namespace
}  // namespace orchard::model
