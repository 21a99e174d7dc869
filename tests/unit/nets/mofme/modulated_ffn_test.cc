#include "nets/mofme/modulated_ffn.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/parameter_count.h"
#include "tests/unit/nets/gradient_check.h"

namespace orchard::nets {
namespace {

TokenRouter Router(int64_t width, int64_t experts, int64_t k,
                   RouterKind kind = RouterKind::kLinear) {
  return *MakeTokenRouter({.kind = kind, .width = width, .experts = experts, .top_k = k});
}

/// models.md section 6.3: a layer's parameters without attention.
struct CountCase {
  int64_t width, hidden, experts, moe, code, cond, fixed;
};

class FmeCountTest : public ::testing::TestWithParam<CountCase> {};

TEST_P(FmeCountTest, ParametersAreThoseOfTheTable) {
  const CountCase& c = GetParam();
  const auto count = [&c](FmeKind kind, bool pre_transform) {
    const FmeOptions options{
        .kind = kind, .width = c.width, .hidden = c.hidden, .pre_transform = pre_transform};
    return ParameterCount(options, c.experts);
  };
  EXPECT_EQ(count(FmeKind::kStatic, false), c.fixed);
  EXPECT_EQ(count(FmeKind::kCond, false), c.cond);
  // The release keeps a norm for every expert and never uses it: 2D parameters each, not ours.
  EXPECT_EQ(count(FmeKind::kCond, true) + c.experts * 2 * c.width, c.code);
  const int64_t ffn = 2 * c.width * c.hidden + c.hidden + c.width;
  EXPECT_EQ(c.experts * ffn + c.width * c.experts + c.experts, c.moe);
}

INSTANTIATE_TEST_SUITE_P(
    Table, FmeCountTest,
    ::testing::Values(CountCase{192, 384, 4, 592'900, 521'284, 445'252, 150'340},
                      CountCase{192, 384, 8, 1'185'800, 820'040, 742'472, 152'648},
                      CountCase{192, 384, 16, 2'371'600, 1'417'552, 1'336'912, 157'264},
                      CountCase{384, 1536, 4, 4'727'812, 2'665'348, 2'365'828, 1'186'180},
                      CountCase{384, 1536, 8, 9'455'624, 3'852'680, 3'550'088, 1'190'792},
                      CountCase{384, 1536, 16, 18'911'248, 6'227'344, 5'918'608, 1'200'016}));

TEST(FmeCountTest, PlainMixtureHasThePublishedParameters) {
  EXPECT_EQ(CountParameters(SparseFfn(Router(192, 4, 2), 384, 0.0)), 592'900);
}

// models.md section 6.3, multiply-adds of a token at (384, 1536), E 8.
TEST(FmeCountTest, StaticModulationCostsHalfOfATopTwoMixture) {
  const FmeOptions options{.width = 384, .hidden = 1536};
  EXPECT_EQ(MultiplyAdds(options, 8, 2) + 0, 384 * 1536 * 2 + 384 * 8 + 2 * 384 * 8);
  const int64_t top_two = 2 * (2 * 384 * 1536) + 384 * 8;
  EXPECT_EQ(top_two, 2'362'368);
  EXPECT_NEAR(static_cast<double>(MultiplyAdds(options, 8, 2)) / static_cast<double>(top_two), 0.5,
              0.01);
}

class FmeTest : public ::testing::TestWithParam<FmeKind> {
 protected:
  static constexpr int64_t kWidth = 6;
  static constexpr int64_t kHidden = 10;
  static constexpr int64_t kExperts = 4;

  static FmeOptions Options(bool pre_transform = false) {
    return {.kind = GetParam(),
            .width = kWidth,
            .hidden = kHidden,
            .rank = 2,
            .pre_transform = pre_transform};
  }
};

TEST_P(FmeTest, HasAsManyParametersAsStated) {
  for (const bool pre_transform : {false, true}) {
    ModulatedFfn layer(Router(kWidth, kExperts, 2), Options(pre_transform));
    EXPECT_EQ(CountParameters(layer), ParameterCount(Options(pre_transform), kExperts))
        << pre_transform;
  }
}

TEST_P(FmeTest, GradientsAreThoseOfFiniteDifferences) {
  for (const bool pre_transform : {false, true}) {
    torch::manual_seed(3);
    ModulatedFfn layer(Router(kWidth, kExperts, 2), Options(pre_transform));
    layer.to(torch::kFloat64);
    {
      const torch::NoGradGuard guard;  // Factors that start at zero would hide each other.
      for (torch::Tensor& parameter : layer.parameters()) {
        parameter.add_(torch::randn_like(parameter) * 0.1);
      }
    }
    const torch::Tensor x = torch::randn({2, 3, kWidth}, torch::kFloat64).requires_grad_();
    const auto loss = [&] { return layer.forward(x).y.pow(3).sum(); };
    EXPECT_LT(GradientError(loss, x), 1e-6);
    for (const auto& parameter : layer.named_parameters()) {
      EXPECT_LT(GradientError(loss, parameter.value()), 1e-6) << parameter.key();
    }
  }
}

TEST_P(FmeTest, StartsNearThePlainFfn) {
  torch::manual_seed(3);
  ModulatedFfn layer(Router(kWidth, kExperts, 2), Options());
  const torch::NoGradGuard guard;
  const torch::Tensor x = torch::randn({1, 50, kWidth});
  const torch::Tensor plain = layer.ffn(x);
  const double apart = (layer.forward(x).y - plain).norm().item<double>();
  EXPECT_LT(apart, 0.35 * plain.norm().item<double>());
  EXPECT_GT(apart, 0.0);
}

TEST_P(FmeTest, EqualsTheSumOverExperts) {
  torch::manual_seed(3);
  ModulatedFfn layer(Router(kWidth, kExperts, 3), Options(/*pre_transform=*/true));
  layer.to(torch::kFloat64);
  const torch::NoGradGuard guard;
  for (torch::Tensor& parameter : layer.parameters()) {
    parameter.add_(torch::randn_like(parameter) * 0.1);
  }
  const torch::Tensor x = torch::randn({1, 7, kWidth}, torch::kFloat64);
  const TokenLayerOutput output = layer.forward(x);
  const torch::Tensor normed = layer.norm(x[0]);
  const torch::Tensor moved = torch::gelu(layer.l1(normed)) * layer.l2(normed);
  const torch::Tensor weights = FullWeights(output.routing.assignment, kExperts);
  // What is modulated, and by which γ and β: the definition, expert by expert.
  torch::Tensor place = moved;
  if (GetParam() == FmeKind::kHidden) place = layer.ffn->fc1(moved);
  if (GetParam() == FmeKind::kAfter) place = layer.ffn(moved);
  torch::Tensor sum = torch::zeros_like(place);
  for (int64_t e = 0; e < kExperts; ++e) {
    torch::Tensor gamma, beta;
    if (GetParam() == FmeKind::kCond) {
      const auto parts = layer.cond->ptr(static_cast<size_t>(e))
                             ->as<torch::nn::LinearImpl>()
                             ->forward(x[0])
                             .chunk(2, 1);
      gamma = parts[0];
      beta = parts[1];
    } else {
      gamma = layer.gamma[e].expand_as(place);
      beta = layer.beta[e].expand_as(place);
    }
    if (GetParam() == FmeKind::kLowRank) {
      gamma =
          gamma + torch::matmul(x[0], torch::matmul(layer.gamma_up[e], layer.gamma_down[e]).t());
      beta = beta + torch::matmul(x[0], torch::matmul(layer.beta_up[e], layer.beta_down[e]).t());
    }
    sum = sum + weights.narrow(1, e, 1) * (gamma * place + beta);
  }
  torch::Tensor want = sum;
  if (GetParam() == FmeKind::kHidden) {
    want = layer.ffn->fc2(torch::gelu(sum));
  } else if (GetParam() != FmeKind::kAfter) {
    want = layer.ffn(sum);
  }
  EXPECT_LT((output.y[0] - want).abs().max().item<double>(), 1e-12);
}

TEST_P(FmeTest, EveryExpertLearns) {
  // The release's index is off by two, and its last expert gets neither input nor gradient.
  torch::manual_seed(3);
  ModulatedFfn layer(Router(kWidth, kExperts, kExperts), Options());
  layer.forward(torch::randn({2, 4, kWidth})).y.square().sum().backward();
  for (int64_t e = 0; e < kExperts; ++e) {
    const torch::Tensor gradient =
        GetParam() == FmeKind::kCond
            ? layer.cond->ptr(static_cast<size_t>(e))->as<torch::nn::LinearImpl>()->weight.grad()
            : layer.gamma.grad()[e];
    EXPECT_GT(gradient.abs().max().item<double>(), 0.0) << e;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, FmeTest,
                         ::testing::Values(FmeKind::kStatic, FmeKind::kCond, FmeKind::kLowRank,
                                           FmeKind::kHidden, FmeKind::kAfter),
                         [](const auto& param_info) {
                           return std::string(NameOf(param_info.param));
                         });

// models.md section 10, check 16.
TEST(FilmTest, TheFusedFormIsTheSum) {
  const auto options = torch::kFloat64;
  const torch::Tensor x = torch::tensor({1.0, -2.0}, options);
  const torch::Tensor gamma = torch::tensor({{2.0, 1.0}, {0.0, 3.0}}, options);
  const torch::Tensor beta = torch::tensor({{0.0, 1.0}, {1.0, 0.0}}, options);
  const torch::Tensor r = torch::tensor({{.75, .25}}, options);
  const torch::Tensor sum = r[0][0] * (gamma[0] * x + beta[0]) + r[0][1] * (gamma[1] * x + beta[1]);
  const torch::Tensor fused = (torch::matmul(r, gamma) * x + torch::matmul(r, beta))[0];
  const torch::Tensor want = torch::tensor({1.75, -2.25}, options);
  EXPECT_TRUE(torch::allclose(sum, want, 0, 1e-12));
  EXPECT_TRUE(torch::allclose(fused, want, 0, 1e-12));
}

TEST(FmeOptionsTest, AllFaultsComeAtOnce) {
  EXPECT_THAT(Faults(FmeOptions{.kind = FmeKind::kLowRank, .width = 8, .rank = 9, .dropout = 2}),
              ::testing::ElementsAre("fme hidden is 0, must be from 1 to 65536",
                                     "fme dropout is 2, must be from 0 to 0.9",
                                     "fme rank is 9, must be from 1 to 8"));
}

}  // namespace
}  // namespace orchard::nets
