#include "nets/mobilenet_v2.h"

#include <map>
#include <vector>

#include "absl/strings/match.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/parameter_count.h"

namespace orchard::nets {
namespace {

TEST(MobileNetV2Test, HasThePublishedNumberOfParameters) {
  EXPECT_EQ(CountParameters(*MobileNetV2()), 2'223'872);
}

TEST(MobileNetV2Test, GivesMapAndPooledFeatures) {
  MobileNetV2 network;
  network->eval();
  const torch::NoGradGuard guard;
  const EncoderFeatures features = network->forward(torch::zeros({1, 3, 224, 224}));
  EXPECT_EQ(features.map.sizes(), (std::vector<int64_t>{1, kMapChannels, kMapSide, kMapSide}));
  EXPECT_EQ(features.pooled.sizes(), (std::vector<int64_t>{1, kPooledWidth}));
}

TEST(MobileNetV2Test, MultiplyAddsAreThoseOfItsShapes) {
  // Kernel weights times output positions; strides halve the side at five blocks.
  const std::map<int64_t, int64_t> side_after = {
      {0, 112}, {1, 112}, {2, 56},  {3, 56},  {4, 28}, {5, 28}, {6, 28}, {7, 14}, {8, 14}, {9, 14},
      {10, 14}, {11, 14}, {12, 14}, {13, 14}, {14, 7}, {15, 7}, {16, 7}, {17, 7}, {18, 7}};
  MobileNetV2 network;
  int64_t count = 0;
  for (int64_t block = 0; block < kEncoderBlocks; ++block) {
    const int64_t after = side_after.at(block);
    int64_t side = block == 0 ? after : side_after.at(block - 1);  // until the strided layer
    for (const auto& module : network->features->ptr(static_cast<size_t>(block))->modules()) {
      const auto* layer = module->as<torch::nn::Conv2dImpl>();
      if (layer == nullptr) continue;
      if (layer->weight.size(2) == 3) side = after;
      count += layer->weight.numel() * side * side;
    }
  }
  EXPECT_EQ(count, kEncoderMultiplyAdds);
}

TEST(MobileNetV2Test, StandardisesAsTheFormulaSays) {
  const torch::Tensor pixels = torch::tensor({0, 128, 255}, torch::kUInt8).view({1, 1, 1, 3});
  const torch::Tensor got =
      Standardise(pixels, torch::tensor({0.5F, 0.4F, 0.3F}), torch::tensor({0.25F, 0.2F, 0.1F}));
  const torch::Tensor want = torch::tensor(
      {(0 / 255.0 - 0.5) / 0.25, (128 / 255.0 - 0.4) / 0.2, (255 / 255.0 - 0.3) / 0.1},
      torch::kFloat32);
  EXPECT_TRUE(torch::allclose(got.flatten(), want, 1e-6, 1e-6));
}

TEST(MobileNetV2Test, FineTuningLeavesEarlierBlocksAndStatisticsAlone) {
  constexpr int64_t kFirst = 17;
  MobileNetV2 network;
  network->train();
  network->PrepareFineTuning(kFirst);
  const torch::Tensor mean = network->named_buffers()["features.18.1.running_mean"].clone();
  network->forward(torch::randn({2, 3, 64, 64})).pooled.sum().backward();
  for (const auto& parameter : network->named_parameters()) {
    const bool trained = absl::StartsWith(parameter.key(), "features.17.") ||
                         absl::StartsWith(parameter.key(), "features.18.");
    EXPECT_EQ(parameter.value().grad().defined(), trained) << parameter.key();
  }
  EXPECT_TRUE(torch::equal(network->named_buffers()["features.18.1.running_mean"], mean));
}

}  // namespace
}  // namespace orchard::nets
