#include "model/encoder.h"

#include <algorithm>
#include <atomic>
#include <bit>
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
#include "nets/serve/fused_encoder.h"
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

std::span<const float> Of(const core::FeatureBatch& features, FeatureKind kind) {
  return features.Find(kind)->Floats();
}

/// Bit by bit.
bool Same(const core::FeatureBatch& a, const core::FeatureBatch& b) {
  return std::ranges::equal(Of(a, FeatureKind::kPooled), Of(b, FeatureKind::kPooled)) &&
         std::ranges::equal(Of(a, FeatureKind::kMap), Of(b, FeatureKind::kMap));
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
  EXPECT_EQ(Of(*features, FeatureKind::kPooled).size(), 2U * 1280);
  EXPECT_EQ(Of(*features, FeatureKind::kMap).size(), 2U * 320 * 7 * 7);
  for (const auto& view : features->views) {
    EXPECT_EQ(view->rows(), 2U);
    EXPECT_EQ(view->spec().made_by, encoder_->fingerprint());
  }
  EXPECT_EQ(features->Find(FeatureKind::kImage), nullptr);
  EXPECT_EQ(encoder_->fingerprint(), SharedManifest().encoder().fingerprint());
}

/// What LibTorch gives for two pictures, layer by layer.
nets::EncoderFeatures RunEagerly(const std::vector<std::uint8_t>& pixels) {
  nets::MobileNetV2 network;
  const auto tensors = ReadPart(SharedModel(), SharedManifest().encoder().file());
  EXPECT_THAT(tensors, IsOk());
  EXPECT_THAT(LoadState(*network, *tensors, "", "f"), IsOk());
  network->eval();
  const torch::NoGradGuard guard;
  const torch::Tensor input =
      torch::from_blob(const_cast<std::uint8_t*>(pixels.data()), {2, 224, 224, 3}, torch::kUInt8);
  return network->forward(nets::Standardise(input, torch::tensor({0.485F, 0.456F, 0.406F}),
                                            torch::tensor({0.229F, 0.224F, 0.225F})));
}

/// |got - want| / |want|, Euclidean.
double RelativeError(std::span<const float> got, const torch::Tensor& want) {
  const torch::Tensor mine =
      torch::from_blob(const_cast<float*>(got.data()), want.sizes(), torch::kFloat32);
  return ((mine - want).norm() / want.norm()).item<double>();
}

TEST_F(EncoderTest, EqualsTheNetworkRunEagerly) {
  const auto pixels = Pictures(2);
  const auto encoder =
      Encoder::Load(SharedModel(), SharedManifest().encoder(), EncoderPrecision::kFp32);
  ASSERT_THAT(encoder, IsOk());
  EXPECT_EQ((*encoder)->precision(), EncoderPrecision::kFp32);
  const auto features = (*encoder)->Encode(pixels, 2);
  ASSERT_THAT(features, IsOk());
  const nets::EncoderFeatures want = RunEagerly(pixels);
  // Folded BatchNorm rounds differently, and 52 layers of random weights add it up.
  EXPECT_LT(RelativeError(Of(*features, FeatureKind::kMap), want.map), 5e-5);
  EXPECT_LT(RelativeError(Of(*features, FeatureKind::kPooled), want.pooled), 5e-5);
}

TEST_F(EncoderTest, Bf16StaysNearAndIsRefusedWhereTheCpuHasNone) {
  const auto encoder =
      Encoder::Load(SharedModel(), SharedManifest().encoder(), EncoderPrecision::kBf16);
  if (!nets::CpuHasBf16()) {
    EXPECT_THAT(encoder, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("BF16")));
    EXPECT_EQ(encoder_->precision(), EncoderPrecision::kFp32);
    return;
  }
  EXPECT_EQ(encoder_->precision(), EncoderPrecision::kBf16);  // Of kAuto.
  const auto pixels = Pictures(2);
  const auto features = (*encoder)->Encode(pixels, 2);
  ASSERT_THAT(features, IsOk());
  const nets::EncoderFeatures want = RunEagerly(pixels);
  // Random weights forget the picture from layer to layer and keep the rounding. What it does to a
  // trained encoder's answers: docs/results.md, "Precision".
  EXPECT_LT(RelativeError(Of(*features, FeatureKind::kMap), want.map), 0.3);
  EXPECT_LT(RelativeError(Of(*features, FeatureKind::kPooled), want.pooled), 0.1);
  // It is not FP32 after all.
  EXPECT_GT(RelativeError(Of(*features, FeatureKind::kMap), want.map), 1e-4);
}

TEST_F(EncoderTest, WhatLeavesABf16EncoderIsNotRoundedToBf16) {
  if (!nets::CpuHasBf16()) GTEST_SKIP() << "this CPU has no BF16";
  const auto encoder =
      Encoder::Load(SharedModel(), SharedManifest().encoder(), EncoderPrecision::kBf16);
  ASSERT_THAT(encoder, IsOk());
  const auto features = (*encoder)->Encode(Pictures(1), 1);
  ASSERT_THAT(features, IsOk());
  for (const FeatureKind kind : {FeatureKind::kMap, FeatureKind::kPooled}) {
    const std::span<const float> values = Of(*features, kind);
    const auto rounded = std::ranges::count_if(
        values, [](float v) { return (std::bit_cast<std::uint32_t>(v) & 0xFFFFU) == 0; });
    EXPECT_LT(rounded, static_cast<std::ptrdiff_t>(values.size() / 2));
  }
}

TEST_F(EncoderTest, ThreadsThatShareOneGiveTheBitsOfOne) {
  constexpr size_t kRows = 4;
  const auto pixels = Pictures(kRows);
  const auto want = encoder_->Encode(pixels, kRows);
  ASSERT_THAT(want, IsOk());
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      PrepareInferenceThread();
      for (int run = 0; run < 10; ++run) {
        const auto got = encoder_->Encode(pixels, kRows);
        if (!got.ok() || !Same(*got, *want)) ++wrong;
      }
    });
  }
  threads.clear();  // Joins.
  EXPECT_EQ(wrong, 0);
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
        EXPECT_TRUE(std::ranges::equal(batch->Find(kind)->Floats(row, 1), Of(alone[row], kind)))
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
  EXPECT_TRUE(Same(*there, *here));
}

TEST_F(EncoderTest, DifferentPicturesGiveDifferentFeatures) {
  const auto features = encoder_->Encode(Pictures(2), 2);
  ASSERT_THAT(features, IsOk());
  EXPECT_FALSE(std::ranges::equal(features->Find(FeatureKind::kPooled)->Floats(0, 1),
                                  features->Find(FeatureKind::kPooled)->Floats(1, 1)));
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
