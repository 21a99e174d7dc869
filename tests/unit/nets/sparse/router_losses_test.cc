#include "nets/sparse/router_losses.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/losses.h"

namespace orchard::nets {
namespace {

torch::Tensor Row(const std::vector<double>& values) {
  return torch::tensor(values, torch::kFloat64);
}

double Balance(const std::vector<double>& shares, const std::vector<double>& importance) {
  return SwitchBalance(Row(shares), Row(importance)).item<double>();
}

// models.md section 10, check 6.
TEST(SwitchBalanceTest, IsThatOfTheTable) {
  EXPECT_NEAR(Balance({1, 0, 0, 0}, {.25, .25, .25, .25}), 1.0, 1e-12);
  EXPECT_NEAR(Balance({1, 0, 0, 0}, {1, 0, 0, 0}), 4.0, 1e-12);
  EXPECT_NEAR(Balance({.4, .3, .2, .1}, {.35, .3, .2, .15}), 1.14, 1e-12);
  const double third = 1.0 / 3;
  const std::vector<double> three = {third, third, third, 0, 0, 0, 0};
  EXPECT_NEAR(Balance(three, three), 2.333333, 1e-6);
}

// Check 7: B is not bounded below by 1.
TEST(SwitchBalanceTest, MayBeBelowOne) {
  const torch::Tensor p = torch::tensor(
      {{.34, .33, .33}, {.34, .33, .33}, {.34, .33, .33}, {0., .49, .51}}, torch::kFloat64);
  const torch::Tensor shares = LoadShares(SelectTopK(p, 1).indices, 3);
  EXPECT_TRUE(torch::allclose(shares.to(torch::kFloat64), Row({.75, 0, .25})));
  EXPECT_TRUE(torch::allclose(p.mean(0), Row({.255, .37, .375})));
  EXPECT_NEAR(SwitchBalance(shares, p.mean(0)).item<double>(), 0.855, 1e-9);
}

// Check 8: uniform gates with an uneven load have B = 1 and a gradient nevertheless.
TEST(SwitchBalanceTest, OneIsNotAStandstill) {
  const torch::Tensor z = torch::zeros({5, 4}, torch::kFloat64).requires_grad_();
  const torch::Tensor p = z.softmax(-1);
  const torch::Tensor shares = LoadShares(SelectTopK(p, 2).indices, 4);  // Ties: experts 0 and 1.
  const torch::Tensor balance = SwitchBalance(shares, p.mean(0));
  EXPECT_NEAR(balance.item<double>(), 1.0, 1e-12);
  balance.backward();
  EXPECT_TRUE(torch::allclose(z.grad(), Row({.05, .05, -.05, -.05}).expand({5, 4})));
}

// Check 11.
TEST(RouterZTest, IsThatOfTheTable) {
  EXPECT_NEAR(RouterZ(Row({1, 2, 3}).unsqueeze(0)).item<double>(), 11.611778, 1e-6);
  EXPECT_NEAR(RouterZ(Row({0, 0, 0, 0}).unsqueeze(0)).item<double>(), 1.921812, 1e-6);
}

// Check 9, as a loss.
TEST(CvSquaredTest, UsesThePopulationVariance) {
  EXPECT_NEAR(CvSquared(Row({40, 30, 20, 10})).item<double>(), 0.2, 1e-12);
  EXPECT_NEAR(CvSquared(Row({100, 0, 0, 0})).item<double>(), 3.0, 1e-12);
}

// Check 12.
TEST(SmoothingTest, BothFormsAreThoseOfTheTable) {
  const torch::Tensor z = Row({2, 1, 0, -1}).unsqueeze(0);
  const torch::Tensor label = torch::tensor({0}, torch::kInt64);
  const auto loss = [&](double epsilon, Smoothing form) {
    return SoftCrossEntropy(z, SmoothTargets(label, 4, epsilon, form)).item<double>();
  };
  EXPECT_NEAR(loss(0.1, Smoothing::kOthers), 0.640190, 1e-6);
  EXPECT_NEAR(loss(0.1, Smoothing::kUniform), 0.590190, 1e-6);
  EXPECT_NEAR(loss(UniformEpsilon(0.1, 4), Smoothing::kUniform), 0.640190, 1e-6);
  EXPECT_NEAR(UniformEpsilon(0.1, 43), 0.102381, 1e-6);
  EXPECT_NEAR(LeastSmoothedLoss(0.1, 43), 0.69885, 1e-5);
  EXPECT_EQ(LeastSmoothedLoss(0.0, 43), 0.0);
}

TEST(LossTermTest, TotalWeighsEveryTerm) {
  EXPECT_NEAR(Total({{.name = "a", .value = torch::tensor(2.0), .weight = 0.5},
                     {.name = "b", .value = torch::tensor(3.0)}})
                  .item<double>(),
              4.0, 1e-6);
  EXPECT_EQ(Total({}).item<double>(), 0.0);
}

TEST(LossTermTest, LayersAreAveragedByName) {
  const auto terms = MeanTerms({{{.name = "balance", .value = torch::tensor(1.0), .weight = 0.1},
                                 {.name = "router_z", .value = torch::tensor(4.0)}},
                                {{.name = "balance", .value = torch::tensor(2.0), .weight = 0.1},
                                 {.name = "router_z", .value = torch::tensor(6.0)}}});
  ASSERT_EQ(terms.size(), 2U);
  EXPECT_EQ(terms[0].name, "balance");
  EXPECT_NEAR(terms[0].value.item<double>(), 1.5, 1e-6);
  EXPECT_EQ(terms[0].weight, 0.1);
  EXPECT_NEAR(terms[1].value.item<double>(), 5.0, 1e-6);
}

TEST(LoadSharesTest, EmptyPlacesDoNotCount) {
  const torch::Tensor shares = LoadShares(torch::tensor({{0, -1}, {0, 1}}, torch::kInt64), 3);
  EXPECT_TRUE(torch::allclose(shares, torch::tensor({2.0F / 3, 1.0F / 3, 0.0F})));
}

}  // namespace
}  // namespace orchard::nets
