#include "nets/sparse/dispatch.h"

#include <exception>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/sparse/token_layer.h"

namespace orchard::nets {
namespace {

constexpr int64_t kWidth = 8;

/// FFN experts and a choice for every token.
struct Mixture {
  Mixture(int64_t n, int64_t experts, int64_t k, torch::ScalarType type) : count(experts) {
    torch::manual_seed(5);
    for (int64_t e = 0; e < experts; ++e) ffns.push_back(Ffn(kWidth, 16, 0.0));
    for (Ffn& ffn : ffns) ffn->to(type);
    x = torch::randn({n, kWidth}, type);
    const TopK top = SelectTopK(torch::randn({n, experts}, type).softmax(-1), k);
    choice = {.experts = top.indices, .weights = top.values};
  }
  ExpertFunction Function() {
    return [this](int64_t e, const torch::Tensor& rows) {
      ++calls;
      return ffns[static_cast<size_t>(e)]->forward(rows);
    };
  }
  torch::Tensor Sparse(const DispatchOptions& options = {}) {
    return Dispatch(x, choice, count, kWidth, Function(), options);
  }
  torch::Tensor Dense() { return DispatchDense(x, choice, count, Function()); }

  int64_t count;
  std::vector<Ffn> ffns;
  torch::Tensor x;
  Assignment choice;
  int calls = 0;
};

double Apart(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(SelectTopKTest, TiesGoToTheLowerIndex) {
  const TopK top = SelectTopK(torch::tensor({{1.0, 2.0, 2.0, 1.0}, {0.0, 0.0, 0.0, 0.0}}), 3);
  EXPECT_TRUE(torch::equal(top.indices, torch::tensor({{1, 2, 0}, {0, 1, 2}}, torch::kInt64)));
}

struct DispatchCase {
  std::string name;
  int64_t tokens, experts, k;
};

class DispatchTest : public ::testing::TestWithParam<DispatchCase> {};

// models.md section 9: values and gradients of the input within 1e-12 in double.
TEST_P(DispatchTest, EqualsTheDenseReference) {
  for (const Combine combine : {Combine::kOrdered, Combine::kIndexAdd}) {
    Mixture mixture(GetParam().tokens, GetParam().experts, GetParam().k, torch::kFloat64);
    mixture.x.requires_grad_();
    mixture.choice.weights.requires_grad_();
    const torch::Tensor pull = torch::randn_like(mixture.x);
    const std::vector<torch::Tensor> leaves = {mixture.x, mixture.choice.weights};
    const torch::Tensor sparse = mixture.Sparse({.combine = combine});
    const torch::Tensor dense = mixture.Dense();
    EXPECT_LE(Apart(sparse, dense), 1e-12);
    const auto got = torch::autograd::grad({(sparse * pull).sum()}, leaves);
    const auto want = torch::autograd::grad({(dense * pull).sum()}, leaves);
    EXPECT_LE(Apart(got[0], want[0]), 1e-12);
    EXPECT_LE(Apart(got[1], want[1]), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, DispatchTest,
                         ::testing::Values(DispatchCase{"TopTwo", 17, 4, 2},
                                           DispatchCase{"TopOne", 17, 4, 1},
                                           DispatchCase{"AllExperts", 9, 4, 4},
                                           DispatchCase{"OneToken", 1, 7, 3},
                                           DispatchCase{"MoreExpertsThanTokens", 3, 16, 2}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(DispatchTest, FloatsAgreeToFiveDigits) {
  Mixture floats(64, 4, 2, torch::kFloat32);
  EXPECT_TRUE(torch::allclose(floats.Sparse(), floats.Dense(), 1e-5, 1e-6));
}

/// LibTorch goes by the CPU, not by what oneDNN is held to (DNNL_MAX_CPU_ISA), and fails then.
bool MultipliesBrainFloats() {
  const torch::Tensor x = torch::ones({64, 16}, torch::kBFloat16);
  try {
    torch::nn::functional::linear(x, x);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

TEST(DispatchTest, BrainFloatsAgreeToTwoDigits) {
  if (!MultipliesBrainFloats()) GTEST_SKIP() << "oneDNN is held to kernels without bfloat16";
  Mixture brain(64, 4, 2, torch::kBFloat16);
  EXPECT_TRUE(torch::allclose(brain.Sparse(), brain.Dense(), 1e-2, 1e-2));
}

TEST(DispatchTest, NoTokensGiveNoRows) {
  Mixture mixture(0, 4, 2, torch::kFloat32);
  EXPECT_EQ(mixture.Sparse().sizes(), (std::vector<int64_t>{0, kWidth}));
  EXPECT_EQ(mixture.calls, 0);
}

TEST(DispatchTest, AnExpertWithoutTokensIsNotCalledAndGetsNoGradient) {
  Mixture mixture(6, 4, 1, torch::kFloat32);
  mixture.choice.experts = torch::full({6, 1}, 2, torch::kInt64);
  mixture.Sparse().sum().backward();
  EXPECT_EQ(mixture.calls, 1);
  for (size_t e = 0; e < 4; ++e) {
    // Undefined, not zero: an optimiser would still decay a parameter with a zero gradient.
    EXPECT_EQ(mixture.ffns[e]->fc1->weight.grad().defined(), e == 2) << e;
  }
}

TEST(DispatchTest, EmptyPlacesGiveNothing) {
  Mixture mixture(3, 4, 2, torch::kFloat64);
  mixture.choice.experts = torch::tensor({{1, -1}, {-1, -1}, {0, 3}}, torch::kInt64);
  mixture.choice.weights = torch::tensor({{1.0, 0.0}, {0.0, 0.0}, {0.5, 0.5}}, torch::kFloat64);
  const torch::Tensor y = mixture.Sparse();
  EXPECT_LE(Apart(y, mixture.Dense()), 1e-12);
  EXPECT_EQ(y[1].abs().max().item<double>(), 0.0);
  mixture.choice.experts = torch::full({3, 2}, -1, torch::kInt64);
  EXPECT_EQ(mixture.Sparse().abs().max().item<double>(), 0.0);
}

TEST(DispatchTest, StridesDoNotMatter) {
  Mixture mixture(10, 4, 2, torch::kFloat64);
  const torch::Tensor want = mixture.Sparse();
  mixture.x = mixture.x.t().contiguous().t();
  mixture.choice.experts = mixture.choice.experts.t().contiguous().t();
  ASSERT_FALSE(mixture.x.is_contiguous());
  EXPECT_LE(Apart(mixture.Sparse(), want), 1e-14);
}

TEST(DispatchTest, CountsTokensOfEachExpert) {
  const torch::Tensor experts = torch::tensor({{0, 2}, {2, -1}, {2, 0}}, torch::kInt64);
  EXPECT_THAT(CountTokens(experts, 4), ::testing::ElementsAre(2, 0, 3, 0));
}

// models.md section 9, batch invariance: numeric (1e-5), for a token alone and among others.
TEST(DispatchTest, AloneATokenGetsWhatItGetsAmongOthers) {
  Mixture mixture(100, 4, 2, torch::kFloat32);
  const torch::NoGradGuard guard;
  const torch::Tensor x = mixture.x;
  const Assignment choice = mixture.choice;
  for (const int64_t tile : {0, 64}) {
    mixture.x = x;
    mixture.choice = choice;
    const torch::Tensor together = mixture.Sparse({.tile = tile});
    for (const int64_t at : {0, 7, 99}) {
      mixture.x = x.narrow(0, at, 1);
      mixture.choice = {.experts = choice.experts.narrow(0, at, 1),
                        .weights = choice.weights.narrow(0, at, 1)};
      EXPECT_LE(Apart(mixture.Sparse({.tile = tile})[0], together[at]), 1e-5) << at;
    }
  }
}

// Bitwise, at the token's place in the tile: whoever else is in it, and however many follow.
TEST(DispatchTest, WithATileABatchMateChangesNoBit) {
  Mixture mixture(100, 4, 2, torch::kFloat32);
  const torch::NoGradGuard guard;
  const torch::Tensor together = mixture.Sparse({.tile = 64});
  const torch::Tensor x = mixture.x;
  const Assignment choice = mixture.choice;
  for (const int64_t at : {0, 7, 99}) {
    mixture.x = torch::randn_like(x).narrow(0, 0, at + 1);
    mixture.x[at] = x[at];
    mixture.choice = {.experts = choice.experts.narrow(0, 0, at + 1),
                      .weights = choice.weights.narrow(0, 0, at + 1)};
    EXPECT_TRUE(torch::equal(mixture.Sparse({.tile = 64})[at], together[at])) << at;
  }
}

}  // namespace
}  // namespace orchard::nets
