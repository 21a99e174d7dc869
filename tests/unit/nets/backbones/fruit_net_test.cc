#include "nets/backbones/fruit_net.h"

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/backbones/channel_attention.h"
#include "nets/parameter_count.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/nets/gradient_check.h"

namespace orchard::nets {
namespace {

using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// models.md section 7.2 (check 15).
struct CountCase {
  std::string name;
  FruitNetOptions options;
  int64_t parameters;
};

class FruitNetCountTest : public ::testing::TestWithParam<CountCase> {};

TEST_P(FruitNetCountTest, HasThePublishedParameters) {
  EXPECT_EQ(CountParameters(*FruitNet(GetParam().options)), GetParam().parameters);
}

INSTANTIATE_TEST_SUITE_P(
    Table, FruitNetCountTest,
    ::testing::Values(
        CountCase{"Cnn", {.trunk = BackboneKind::kSimpleCnn}, 14'843'620},
        CountCase{"BinaryCnn", {.trunk = BackboneKind::kSimpleCnn, .classes = 1}, 14'839'105},
        CountCase{
            "CnnPadded", {.trunk = BackboneKind::kSimpleCnn, .same_padding = true}, 16'875'236},
        CountCase{"CnnAttention",
                  {.trunk = BackboneKind::kSimpleCnn,
                   .attention = TrunkAttention::kSeEnd,
                   .same_padding = true},
                  16'879'476},
        CountCase{"Vgg16", {.trunk = BackboneKind::kVgg16}, 14'855'268},
        CountCase{"Vgg16Attention",
                  {.trunk = BackboneKind::kVgg16, .attention = TrunkAttention::kSeEnd},
                  14'921'380},
        CountCase{"ResNet50", {.trunk = BackboneKind::kResNet50}, 24'041'828},
        CountCase{"ResNet50Attention",
                  {.trunk = BackboneKind::kResNet50, .attention = TrunkAttention::kSeEnd},
                  25'092'708},
        // Keras' figures, 24,121,508 and 25,172,388, count 53,120 moving statistics.
        CountCase{"KerasResNet50",
                  {.trunk = BackboneKind::kResNet50, .keras = true},
                  24'121'508 - 53'120},
        CountCase{
            "KerasResNet50Attention",
            {.trunk = BackboneKind::kResNet50, .attention = TrunkAttention::kSeEnd, .keras = true},
            25'172'388 - 53'120}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(ChannelAttentionTest, HasThePublishedParameters) {
  EXPECT_EQ(CountParameters(SqueezeExcite(128, 8)), 4'240);
  EXPECT_EQ(CountParameters(SqueezeExcite(512, 8)), 66'112);
  EXPECT_EQ(CountParameters(SqueezeExcite(2048, 8)), 1'050'880);
  EXPECT_EQ(CountParameters(SqueezeExcite(512, 8, /*gated=*/false)), 66'112);
  EXPECT_EQ(CountParameters(Cbam(128, 16)), 2'284);
  EXPECT_EQ(CountParameters(Cbam(512, 16)), 33'412);
  EXPECT_EQ(CountParameters(Cbam(2048, 16)), 526'564);
}

// models.md section 10, check 23: before the global mean a channel gate is no spatial attention.
TEST(ChannelAttentionTest, GateThenMeanIsMeanThenGate) {
  torch::manual_seed(1);
  SqueezeExcite gate(512, 8);
  const torch::NoGradGuard guard;
  const torch::Tensor x = torch::randn({2, 512, 8, 8});
  const torch::Tensor pooled = x.mean({2, 3});
  const torch::Tensor want = pooled * torch::sigmoid(gate.fc2(torch::relu(gate.fc1(pooled))));
  EXPECT_LE((gate.forward(x).mean({2, 3}) - want).abs().max().item<double>(), 1e-6);
}

TEST(ChannelAttentionTest, SqueezeExciteByHand) {
  SqueezeExcite gate(2, 2);
  const torch::NoGradGuard guard;
  gate.fc1->weight.copy_(torch::tensor({{1.0, -1.0}}));
  gate.fc1->bias.fill_(0.5);
  gate.fc2->weight.copy_(torch::tensor({{2.0}, {-2.0}}));
  gate.fc2->bias.zero_();
  // Means 2 and 1: h = relu(2 - 1 + .5) = 1.5; gates σ(3) and σ(-3).
  const torch::Tensor x = torch::tensor({1.0, 3.0, 0.0, 2.0}).view({1, 2, 1, 2});
  const torch::Tensor want = torch::tensor({.952574, 2.857722, 0.0, .094852}).view({1, 2, 1, 2});
  EXPECT_TRUE(torch::allclose(gate.forward(x), want, 0, 1e-5));
}

TEST(ChannelAttentionTest, GradientsAreThoseOfFiniteDifferences) {
  torch::manual_seed(1);
  std::vector<MapAttention> all = {std::make_shared<SqueezeExcite>(6, 2),
                                   std::make_shared<SqueezeExcite>(6, 2, /*gated=*/false),
                                   std::make_shared<Cbam>(6, 2)};
  for (const MapAttention& attention : all) {
    attention->to(torch::kFloat64);
    attention->eval();
    const torch::Tensor x = torch::randn({2, 6, 4, 5}, torch::kFloat64).requires_grad_();
    const auto loss = [&] { return attention->forward(x).pow(3).sum(); };
    EXPECT_LT(GradientError(loss, x), 1e-6);
    for (const auto& parameter : attention->named_parameters()) {
      EXPECT_LT(GradientError(loss, parameter.value()), 1e-6) << parameter.key();
    }
  }
}

class FruitNetTest : public ::testing::TestWithParam<std::tuple<BackboneKind, TrunkAttention>> {};

TEST_P(FruitNetTest, EveryArmOfTheFactorialGivesLogits) {
  torch::manual_seed(1);
  const auto [trunk, attention] = GetParam();
  FruitNet net(FruitNetOptions{.trunk = trunk, .attention = attention, .classes = 3, .side = 64});
  const torch::Tensor logits = net->forward(torch::randn({2, 3, 64, 64}));
  EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{2, 3}));
  logits.square().sum().backward();
  for (const auto& parameter : net->attention->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
  const size_t stages = net->trunk->StageChannels().size();
  const size_t want = attention == TrunkAttention::kNone ? 0
                      : attention == TrunkAttention::kSeEnd || attention == TrunkAttention::kAddEnd
                          ? 1
                          : stages;
  EXPECT_EQ(net->attention->size(), want);
}

TEST_P(FruitNetTest, WhatComesAfterTheTrunkIsTheRestOfForward) {
  torch::manual_seed(1);
  const auto [trunk, attention] = GetParam();
  if (attention == TrunkAttention::kSeStages || attention == TrunkAttention::kCbamStages) return;
  FruitNet net(FruitNetOptions{.trunk = trunk, .attention = attention, .classes = 3, .side = 64});
  net->eval();
  const torch::NoGradGuard guard;
  const torch::Tensor x = torch::randn({2, 3, 64, 64});
  EXPECT_TRUE(torch::equal(net->AfterTrunk(net->trunk->Map(x, nullptr)), net->forward(x)));
}

std::string NameOfArm(const ::testing::TestParamInfo<FruitNetTest::ParamType>& arm) {
  return absl::StrCat(std::string(NameOf(std::get<0>(arm.param))), "_",
                      std::string(NameOf(std::get<1>(arm.param))));
}

INSTANTIATE_TEST_SUITE_P(
    Factorial, FruitNetTest,
    ::testing::Combine(::testing::Values(BackboneKind::kSimpleCnn, BackboneKind::kResNet18),
                       ::testing::Values(TrunkAttention::kNone, TrunkAttention::kSeEnd,
                                         TrunkAttention::kSeStages, TrunkAttention::kCbamStages,
                                         TrunkAttention::kAddEnd)),
    NameOfArm);
// One arm of VGG16, whose weights alone take a second to draw.
INSTANTIATE_TEST_SUITE_P(Vgg16, FruitNetTest,
                         ::testing::Values(std::tuple(BackboneKind::kVgg16,
                                                      TrunkAttention::kSeStages)),
                         NameOfArm);

TEST(FruitNetOptionsTest, AllFaultsComeAtOnce) {
  EXPECT_THAT(
      MakeFruitNet({.trunk = BackboneKind::kEfficientNetB0, .classes = 0, .side = 16}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("trunk is efficientnet_b0, must be simple_cnn, vgg16, resnet18"),
                     HasSubstr("classes is 0, must be from 1 to 65536"),
                     HasSubstr("side is 16, must be from 32 to 1024"))));
}

}  // namespace
}  // namespace orchard::nets
