#include "model/encoder.h"

#include <cmath>
#include <random>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "model/store.h"
#include "model/torch_state.h"
#include "nets/mobilenet_v2.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/shared_model.h"

namespace orchard::model {
namespace {

using core::FeatureKind;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr size_t kRow = 224 * 224 * 3;  // bytes of a picture

/// Different pictures: stripes of different widths and colours.
std::vector<std::uint8_t> Pictures(size_t rows) {
  std::vector<std::uint8_t> pixels(rows * kRow);
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t row = i / kRow;
    const size_t column = i % (224 * 3) / 3;
    pixels[i] = static_cast<std::uint8_t>((column / (3 + row) * 80 + i % 3 * 40 + row * 17) % 256);
  }
  return pixels;
}

class EncoderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    PrepareInferenceThread();
    auto loaded = Encoder::Load(SharedModel(), SharedManifest().encoder());
    ASSERT_THAT(loaded, IsOk());
    encoder_ = loaded->release();
  }
  static void TearDownTestSuite() { delete encoder_; }

  static Encoder* encoder_;
};
Encoder* EncoderTest::encoder_ = nullptr;

TEST_F(EncoderTest, GivesBothFeaturesOfEveryPicture) {
  const auto features = encoder_->Encode(Pictures(2), 2);
  ASSERT_THAT(features, IsOk());
  EXPECT_EQ(features->rows, 2U);
  EXPECT_EQ(features->pooled_width, 1280U);
  EXPECT_EQ(features->map_width, 320U * 7 * 7);
  EXPECT_EQ(features->pooled.size(), 2U * 1280);
  EXPECT_EQ(features->map.size(), 2U * 320 * 7 * 7);
  EXPECT_EQ(encoder_->fingerprint(), SharedManifest().encoder().fingerprint());
}

TEST_F(EncoderTest, EqualsTheNetworkRunEagerly) {
  const auto pixels = Pictures(2);
  const auto features = encoder_->Encode(pixels, 2);
  ASSERT_THAT(features, IsOk());
  const v1::EncoderPart part = SharedManifest().encoder();
  nets::MobileNetV2 network;
  const auto tensors = ReadPart(SharedModel(), part.file());
  ASSERT_THAT(tensors, IsOk());
  ASSERT_THAT(LoadState(*network, *tensors, "", "f"), IsOk());
  network->eval();
  const torch::NoGradGuard guard;
  const torch::Tensor input =
      torch::from_blob(const_cast<std::uint8_t*>(pixels.data()), {2, 224, 224, 3}, torch::kUInt8);
  const auto want = network->forward(nets::Standardise(
      input, torch::tensor({0.485F, 0.456F, 0.406F}), torch::tensor({0.229F, 0.224F, 0.225F})));
  const auto compare = [](const std::vector<float>& got, const torch::Tensor& tensor) {
    const torch::Tensor reference = tensor.contiguous();
    const torch::Tensor mine =
        torch::from_blob(const_cast<float*>(got.data()), reference.sizes(), torch::kFloat32);
    // Folded BatchNorm rounds differently, and 52 layers of random weights add it up.
    return ((mine - reference).abs().max() / reference.abs().max()).item<double>();
  };
  EXPECT_LT(compare(features->map, want.map), 5e-5);
  EXPECT_LT(compare(features->pooled, want.pooled), 5e-5);
}

TEST_F(EncoderTest, BatchMatesChangeNoBit) {
  constexpr size_t kMost = 16;
  const auto pixels = Pictures(kMost);
  std::vector<core::FeatureBatch> alone;
  for (size_t row = 0; row < kMost; ++row) {
    auto features = encoder_->Encode(std::span(pixels).subspan(row * kRow, kRow), 1);
    ASSERT_THAT(features, IsOk());
    alone.push_back(*std::move(features));
  }
  for (size_t rows = 2; rows <= kMost; ++rows) {
    const auto batch = encoder_->Encode(std::span(pixels).first(rows * kRow), rows);
    ASSERT_THAT(batch, IsOk());
    for (size_t row = 0; row < rows; ++row) {
      for (const FeatureKind kind : {FeatureKind::kPooled, FeatureKind::kMap}) {
        EXPECT_TRUE(std::ranges::equal(batch->Row(kind, row), alone[row].Row(kind, 0)))
            << "row " << row << " of " << rows;
      }
    }
  }
}

TEST_F(EncoderTest, AnotherThreadGivesTheSameBits) {
  const auto pixels = Pictures(1);
  const auto here = encoder_->Encode(pixels, 1);
  ASSERT_THAT(here, IsOk());
  absl::StatusOr<core::FeatureBatch> there = core::FeatureBatch();
  int threads = 0;
  std::thread([&] {
    PrepareInferenceThread();
    threads = at::get_num_threads();
    there = encoder_->Encode(pixels, 1);
  }).join();
  ASSERT_THAT(there, IsOk());
  EXPECT_EQ(threads, 1);
  EXPECT_EQ(there->pooled, here->pooled);
  EXPECT_EQ(there->map, here->map);
}

TEST_F(EncoderTest, DifferentPicturesGiveDifferentFeatures) {
  const auto features = encoder_->Encode(Pictures(2), 2);
  ASSERT_THAT(features, IsOk());
  EXPECT_FALSE(std::ranges::equal(features->Row(FeatureKind::kPooled, 0),
                                  features->Row(FeatureKind::kPooled, 1)));
}

TEST_F(EncoderTest, RefusesAWrongNumberOfBytes) {
  const auto pixels = Pictures(1);
  EXPECT_THAT(encoder_->Encode(pixels, 2),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("150528 bytes for 2")));
  EXPECT_THAT(encoder_->Encode({}, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 pictures")));
}

TEST(EncoderLoadTest, ComparesTheManifestWithTheArchitecture) {
  const auto load = [](auto spoil) {
    v1::EncoderPart part = SharedManifest().encoder();
    spoil(part);
    return Encoder::Load(SharedModel(), part).status();
  };
  EXPECT_THAT(load([](auto& p) { p.mutable_architecture()->set_name("resnet"); }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("encoder.safetensors"), HasSubstr("\"resnet\""))));
  EXPECT_THAT(load([](auto& p) { p.mutable_preprocessing()->set_crop(192); }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("crop 192 must be 224")));
  EXPECT_THAT(load([](auto& p) { p.mutable_features(1)->set_shape(0, 96); }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("MAP has shape [96, 7, 7], must be [320, 7, 7]")));
  EXPECT_THAT(load([](auto& p) { p.mutable_preprocessing()->set_mean(0, 0.5F); }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("encoder.safetensors"), HasSubstr("fingerprint is"))));
}

}  // namespace
}  // namespace orchard::model
