#include "nets/serve/frozen.h"

#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/conv_bn.h"
#include "tests/testing/status_matchers.h"

namespace orchard::nets {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::HasSubstr;

Forward ForwardOf(ConvBnRelu6& layer) {
  return [&layer](const torch::Tensor& x) { return std::vector<torch::Tensor>{layer->forward(x)}; };
}

TEST(FrozenNetTest, KeepsTheWeightsOfWhenItWasMade) {
  ConvBnRelu6 layer(ConvOptions{.in = 3, .out = 16, .kernel = 3});
  const torch::Tensor x = torch::rand({1, 3, 8, 8});
  const auto frozen = FrozenNet::Make("layer", *layer, ForwardOf(layer), x);
  ASSERT_THAT(frozen, IsOk());
  const torch::Tensor before = frozen->Run(x)->at(0).clone();
  const torch::NoGradGuard guard;
  for (torch::Tensor& parameter : layer->parameters()) parameter.zero_();
  EXPECT_TRUE(torch::equal(frozen->Run(x)->at(0), before));
  EXPECT_GT(before.abs().max().item<float>(), 0.0F);
}

TEST(FrozenNetTest, EqualsEagerForWholeVectorsOfChannels) {
  torch::manual_seed(1);
  // A sum of 144 products of up to 60 may be off by some 1e-5, in an order that the CPU chooses.
  constexpr double kTolerance = 1e-3;
  for (const int64_t channels : {16, 32, 48, 144}) {
    ConvBnRelu6 layer(ConvOptions{.in = 16, .out = channels, .kernel = 3});
    const torch::Tensor x = torch::randn({3, 16, 9, 9}) * 20.0;  // Reaches the 6 of ReLU6.
    const auto frozen = FrozenNet::Make("layer", *layer, ForwardOf(layer), x);
    ASSERT_THAT(frozen, IsOk());
    const torch::NoGradGuard guard;
    EXPECT_TRUE(torch::allclose(frozen->Run(x)->at(0), layer->forward(x), kTolerance, kTolerance))
        << channels;
  }
}

TEST(FrozenNetTest, PutsTheModuleInEvaluationMode) {
  ConvBnRelu6 layer(ConvOptions{.in = 3, .out = 16});
  layer->train();
  const torch::Tensor x = torch::rand({2, 3, 4, 4});
  ASSERT_THAT(FrozenNet::Make("layer", *layer, ForwardOf(layer), x), IsOk());
  EXPECT_FALSE(layer->is_training());
}

TEST(FrozenNetTest, AWrongShapeIsAnErrorAndNotTheEnd) {
  ConvBnRelu6 layer(ConvOptions{.in = 3, .out = 16});
  const auto frozen = FrozenNet::Make("layer", *layer, ForwardOf(layer), torch::rand({1, 3, 4, 4}));
  ASSERT_THAT(frozen, IsOk());
  EXPECT_THAT(frozen->Run(torch::rand({1, 5, 4, 4})),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("running a network")));
  EXPECT_THAT(frozen->Run(torch::rand({1, 3, 4, 4})), IsOk());
}

TEST(FrozenNetTest, AForwardThatThrowsIsAnError) {
  ConvBnRelu6 layer(ConvOptions{.in = 3, .out = 16});
  const Forward forward = [](const torch::Tensor&) -> std::vector<torch::Tensor> {
    throw std::runtime_error("no such layer");
  };
  EXPECT_THAT(FrozenNet::Make("layer", *layer, forward, torch::rand({1, 3, 4, 4})),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no such layer")));
}

TEST(MakeServableTest, BothWaysGiveTheModulesAnswerAndSayHowFarABatchMayChangeIt) {
  ConvBnRelu6 layer(ConvOptions{.in = 3, .out = 16});
  const torch::Tensor x = torch::rand({2, 3, 4, 4});
  const Forward forward = [layer](const torch::Tensor& in) mutable {
    return std::vector<torch::Tensor>{layer->forward(in)};
  };
  for (const auto& [way, invariance] : {std::pair(Way::kFrozen, Invariance::kBits),
                                        std::pair(Way::kEager, Invariance::kRounding)}) {
    layer->train();
    const auto servable = MakeServable(way, "layer", *layer, forward, x);
    ASSERT_THAT(servable, IsOk());
    EXPECT_FALSE(layer->is_training());
    EXPECT_EQ((*servable)->invariance(), invariance);
    const auto outputs = (*servable)->Run(x);
    ASSERT_THAT(outputs, IsOk());
    EXPECT_FALSE(outputs->at(0).requires_grad());
    const torch::NoGradGuard guard;
    EXPECT_TRUE(torch::allclose(outputs->at(0), layer->forward(x), 1e-4, 1e-5));
    EXPECT_THAT((*servable)->Run(torch::rand({1, 5, 4, 4})),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("running a network")));
  }
}

// A path that depends on the input: a trace would keep the example's, the module's forward doesn't.
TEST(MakeServableTest, AnEagerNetFollowsItsInput) {
  torch::nn::Module none;
  const Forward forward = [](const torch::Tensor& x) {
    return std::vector<torch::Tensor>{x.sum().item<float>() > 0.0F ? x : -x};
  };
  const torch::Tensor one = torch::ones({1, 2});
  const auto servable = MakeServable(Way::kEager, "sign", none, forward, one);
  ASSERT_THAT(servable, IsOk());
  EXPECT_TRUE(torch::equal((*servable)->Run(-one)->at(0), one));
}

TEST(FrozenNetTest, ThreadsShareOne) {
  ConvBnRelu6 layer(ConvOptions{.in = 3, .out = 16, .kernel = 3});
  const torch::Tensor x = torch::rand({2, 3, 16, 16});
  const auto frozen = FrozenNet::Make("layer", *layer, ForwardOf(layer), x);
  ASSERT_THAT(frozen, IsOk());
  const torch::Tensor want = frozen->Run(x)->at(0).clone();
  std::vector<int> wrong(4, 0);
  std::vector<std::jthread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) count += torch::equal(frozen->Run(x)->at(0), want) ? 0 : 1;
    });
  }
  threads.clear();  // Joins.
  EXPECT_THAT(wrong, ::testing::Each(0));
}

}  // namespace
}  // namespace orchard::nets
