#include "nets/sparse/token_layer.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/sparse/every_expert.h"

namespace orchard::nets {
namespace {

struct TogetherCase {
  std::string name;
  RouterKind kind;
  int64_t top_k;
};

/// Mixtures whose choices fill every place, are weighed as they are, and leave places empty.
class RunTogetherTest : public ::testing::TestWithParam<TogetherCase> {
 protected:
  SparseFfn MakeLayer(double dropout) const {
    torch::manual_seed(3);
    const RouterOptions options{
        .kind = GetParam().kind, .width = 8, .experts = 5, .top_k = GetParam().top_k};
    SparseFfn layer(*MakeTokenRouter(options), /*hidden=*/12, dropout);
    layer.to(torch::kFloat64);
    return layer;
  }
};

// models.md section 9: the two ways are one function, to 1e-12 in double, gradients too.
TEST_P(RunTogetherTest, IsWhatTheChosenExpertsGive) {
  SparseFfn layer = MakeLayer(/*dropout=*/0.0);
  const torch::Tensor x = torch::randn({2, 7, 8}, torch::kFloat64).requires_grad_();
  const torch::Tensor pull = torch::randn_like(x);
  std::vector<torch::Tensor> leaves = {x};
  for (const torch::Tensor& parameter : layer.parameters()) leaves.push_back(parameter);
  std::vector<torch::Tensor> values;
  std::vector<std::vector<torch::Tensor>> gradients;
  for (const ExpertWay way : {ExpertWay::kChosen, ExpertWay::kTogether}) {
    layer.way = way;
    const torch::Tensor y = layer.forward(x).y;
    values.push_back(y);
    gradients.push_back(torch::autograd::grad({(y * pull).sum()}, leaves, /*grad_outputs=*/{},
                                              /*retain_graph=*/false, /*create_graph=*/false,
                                              /*allow_unused=*/true));
  }
  EXPECT_EQ(values[1].sizes(), x.sizes());
  EXPECT_LE((values[0] - values[1]).abs().max().item<double>(), 1e-12);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const torch::Tensor& together = gradients[1][i];
    const torch::Tensor chosen =
        gradients[0][i].defined() ? gradients[0][i] : torch::zeros_like(leaves[i]);
    ASSERT_TRUE(together.defined()) << i;
    EXPECT_LE((chosen - together).abs().max().item<double>(), 1e-12) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RunTogetherTest,
                         ::testing::Values(TogetherCase{"TopThree", RouterKind::kLinear, 3},
                                           TogetherCase{"Switch", RouterKind::kSwitch, 1},
                                           TogetherCase{"ExpertChoice", RouterKind::kExpertChoice,
                                                        2}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(SparseFfnTest, OnTheCpuOnlyTheChosenExpertsRun) {
  torch::manual_seed(3);
  SparseFfn layer(*MakeTokenRouter({.kind = RouterKind::kLinear, .width = 8, .experts = 5}),
                  /*hidden=*/12, /*dropout=*/0.0);
  layer.forward(torch::randn({1, 1, 8})).y.sum().backward();
  size_t with_gradient = 0;
  for (size_t e = 0; e < 5; ++e) {
    const auto* ffn = layer.experts->ptr(e)->as<FfnImpl>();
    if (ffn->fc1->weight.grad().defined()) ++with_gradient;
  }
  EXPECT_EQ(with_gradient, 1U);
}

TEST(SparseFfnTest, WhereEveryExpertIsWantedAllRunAndTheAnswerStays) {
  torch::manual_seed(3);
  SparseFfn layer(*MakeTokenRouter({.kind = RouterKind::kLinear, .width = 8, .experts = 5}),
                  /*hidden=*/12, /*dropout=*/0.0);
  layer.to(torch::kFloat64);
  const torch::Tensor x = torch::randn({1, 1, 8}, torch::kFloat64);
  torch::Tensor all;
  {
    const EveryExpert wanted;
    all = layer.forward(x).y;
    all.sum().backward();
  }
  for (size_t e = 0; e < 5; ++e) {
    EXPECT_TRUE(layer.experts->ptr(e)->as<FfnImpl>()->fc1->weight.grad().defined()) << e;
  }
  EXPECT_FALSE(EveryExpert::Wanted());
  EXPECT_LE((all - layer.forward(x).y).abs().max().item<double>(), 1e-12);
}

TEST(RunTogetherTest, DropsUnitsOfTheSumWhileTrainingAlone) {
  torch::manual_seed(3);
  SparseFfn layer(*MakeTokenRouter({.kind = RouterKind::kLinear, .width = 8, .experts = 5}),
                  /*hidden=*/12, /*dropout=*/0.5);
  layer.way = ExpertWay::kTogether;
  const torch::Tensor x = torch::randn({4, 50, 8});
  const torch::NoGradGuard guard;
  EXPECT_NEAR(layer.forward(x).y.eq(0.0).to(torch::kFloat64).mean().item<double>(), 0.5, 0.1);
  layer.eval();
  EXPECT_EQ(layer.forward(x).y.eq(0.0).sum().item<int64_t>(), 0);
}

}  // namespace
}  // namespace orchard::nets
