#include "nets/vit_moe/attention.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/drop_path.h"
#include "nets/parameter_count.h"
#include "tests/unit/nets/gradient_check.h"

namespace orchard::nets {
namespace {

/// Mean over queries of H(weights) / ln(keys).
double Entropy(const torch::Tensor& weights) {
  const double nats = -torch::xlogy(weights, weights).sum(-1).mean().item<double>();
  return nats / std::log(static_cast<double>(weights.size(-1)));
}

// models.md section 10, check 14: d 16, two keys with q·k = 2 and 0.
TEST(AttentionWeightsTest, MultiplyingTheScaleIsSixteenTimesTooSharp) {
  const torch::Tensor q = torch::zeros({1, 16}, torch::kFloat64);
  torch::Tensor k = torch::zeros({2, 16}, torch::kFloat64);
  q[0][0] = 1.0;
  k[0][0] = 2.0;
  const torch::Tensor right = AttentionWeights(q, k, 1.0 / 4.0);
  EXPECT_NEAR(right[0][0].item<double>(), 0.622459, 1e-6);
  EXPECT_NEAR(right[0][1].item<double>(), 0.377541, 1e-6);
  const torch::Tensor s2 = AttentionWeights(q, k, 4.0);
  EXPECT_NEAR(s2[0][0].item<double>(), 0.999665, 1e-6);
  EXPECT_NEAR(s2[0][1].item<double>(), 0.000335, 1e-6);
}

// Defect A1: with q and k of deviation .577 hardly a key but the largest is looked at.
TEST(AttentionWeightsTest, SharpAttentionLooksAtFewKeys) {
  torch::manual_seed(1);
  const torch::Tensor q = torch::randn({400, 65, 16}) * 0.577;
  const torch::Tensor k = torch::randn({400, 65, 16}) * 0.577;
  EXPECT_NEAR(Entropy(AttentionWeights(q, k, 0.25)), 0.99, 0.01);
  EXPECT_NEAR(Entropy(AttentionWeights(q, k, 4.0)), 0.24, 0.02);
}

TEST(SelfAttentionTest, HasTheStatedParametersAndExactGradients) {
  torch::manual_seed(1);
  SelfAttention attention(AttentionOptions{.width = 8, .heads = 2});
  EXPECT_EQ(CountParameters(*attention), 4 * 8 * 8 + 4 * 8);
  attention->to(torch::kFloat64);
  const torch::Tensor x = torch::randn({2, 5, 8}, torch::kFloat64).requires_grad_();
  const auto loss = [&] { return attention(x).pow(3).sum(); };
  EXPECT_LT(GradientError(loss, x), 1e-7);
  for (const auto& parameter : attention->named_parameters()) {
    EXPECT_LT(GradientError(loss, parameter.value()), 1e-7) << parameter.key();
  }
}

TEST(DropPathTest, KeepsOrDropsWholePicturesAndKeepsTheMean) {
  torch::manual_seed(1);
  const torch::Tensor x = torch::ones({4000, 2, 3});
  EXPECT_TRUE(torch::equal(DropPath(x, 0.25, /*training=*/false), x));
  const torch::Tensor y = DropPath(x, 0.25, /*training=*/true).flatten(1);
  EXPECT_TRUE(torch::equal(std::get<0>(y.min(1)), std::get<0>(y.max(1))));
  EXPECT_NEAR(y.mean().item<double>(), 1.0, 0.05);
  EXPECT_NEAR(y.max().item<double>(), 1.0 / 0.75, 1e-6);
}

TEST(TruncatedNormalTest, HasNoTails) {
  torch::manual_seed(1);
  torch::Tensor values = torch::empty({20000});
  TruncatedNormal(values, 0.02);
  EXPECT_LE(values.abs().max().item<double>(), 0.04 + 1e-6);
  EXPECT_NEAR(values.std().item<double>(), 0.02 * 0.866, 0.0004);  // after folding
  EXPECT_NEAR(values.mean().item<double>(), 0.0, 0.0005);
}

}  // namespace
}  // namespace orchard::nets
