#include "nets/sparse/token_router.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/sparse/choice_routers.h"
#include "nets/sparse/noisy_routers.h"
#include "nets/sparse/router_losses.h"
#include "nets/sparse/token_layer.h"
#include "nets/sparse/uncertain_router.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/nets/gradient_check.h"

namespace orchard::nets {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kWidth = 12;
constexpr int64_t kExperts = 5;

RouterOptions Options(RouterKind kind) {
  return {.kind = kind,
          .width = kWidth,
          .experts = kExperts,
          .top_k = kind == RouterKind::kSwitch ? 1 : 2,
          .hidden = 6,
          .mode = UncertaintyMode::kInvStd};
}

TokenRouter Make(const RouterOptions& options) {
  torch::manual_seed(3);
  TokenRouter router = *MakeTokenRouter(options);
  router->eval();
  return router;
}

torch::Tensor Row(const std::vector<double>& values) {
  return torch::tensor(values, torch::kFloat64);
}

const std::vector<RouterKind>& Kinds() {
  static const auto& kinds = *new std::vector<RouterKind>{
      RouterKind::kLinear,         RouterKind::kCosineToken, RouterKind::kSwitch,
      RouterKind::kNoisyTopK,      RouterKind::kVMoe,        RouterKind::kVMoeBpr,
      RouterKind::kExpertChoice,   RouterKind::kLossFree,    RouterKind::kMlp,
      RouterKind::kCrossAttention, RouterKind::kUncertain};
  return kinds;
}

class TokenRouterTest : public ::testing::TestWithParam<RouterKind> {};

TEST_P(TokenRouterTest, GivesEveryTokenADecision) {
  const RouterOptions options = Options(GetParam());
  const TokenRouter router = Make(options);
  const Routing routing = router->forward(torch::randn({3, 4, kWidth}));
  const int64_t k = GetParam() == RouterKind::kExpertChoice ? kExperts : options.top_k;
  EXPECT_EQ(routing.logits.sizes(), (std::vector<int64_t>{12, kExperts}));
  EXPECT_EQ(routing.assignment.experts.sizes(), (std::vector<int64_t>{12, k}));
  EXPECT_EQ(routing.assignment.weights.sizes(), (std::vector<int64_t>{12, k}));
  EXPECT_TRUE(torch::allclose(routing.probabilities.sum(-1), torch::ones({12})));
  EXPECT_GE(routing.assignment.weights.min().item<float>(), 0.0F);
  EXPECT_LE(routing.assignment.weights.sum(-1).max().item<float>(), 1.0F + 1e-5F);
}

TEST_P(TokenRouterTest, StaysInFloat32ForHalfInputs) {
  const TokenRouter router = Make(Options(GetParam()));
  const Routing routing = router->forward(torch::randn({1, 4, kWidth}).to(torch::kBFloat16));
  EXPECT_EQ(routing.probabilities.scalar_type(), torch::kFloat32);
}

TEST_P(TokenRouterTest, GradientsAreThoseOfFiniteDifferences) {
  RouterOptions options = Options(GetParam());
  // Spread is a constant to the gradient by decision, so differences see more than autograd.
  options.mode = UncertaintyMode::kMeanTest;
  const TokenRouter router = Make(options);
  router->to(torch::kFloat64);
  const torch::Tensor x = torch::randn({2, 3, kWidth}, torch::kFloat64).requires_grad_();
  const torch::Tensor pull = torch::randn({6, kExperts}, torch::kFloat64);
  const auto loss = [&] {
    const Routing routing = router->forward(x);
    const torch::Tensor given =
        torch::zeros_like(routing.probabilities)
            .scatter_add(1, routing.assignment.experts.clamp_min(0), routing.assignment.weights);
    return (given * pull).sum() + RouterZ(routing.logits);
  };
  EXPECT_LT(GradientError(loss, x), 1e-7);
  for (const auto& parameter : router->named_parameters()) {
    EXPECT_LT(GradientError(loss, parameter.value()), 1e-7) << parameter.key();
  }
}

// models.md section 9, batch invariance: a picture's decisions are its own, whatever its batch.
TEST_P(TokenRouterTest, BatchMatesChangeNoDecision) {
  if (GetParam() == RouterKind::kVMoeBpr) GTEST_SKIP() << "capacity is of the batch: experiments";
  const TokenRouter router = Make(Options(GetParam()));
  const torch::Tensor x = torch::randn({32, 5, kWidth});
  const torch::NoGradGuard guard;
  const Routing whole = router->forward(x);
  const auto expect_same = [&](const Routing& part, const torch::Tensor& rows,
                               const std::string& what) {
    EXPECT_TRUE(
        torch::equal(part.assignment.experts, whole.assignment.experts.index_select(0, rows)))
        << what;
    EXPECT_TRUE(torch::allclose(part.assignment.weights,
                                whole.assignment.weights.index_select(0, rows), 1e-5, 1e-6))
        << what;
  };
  const torch::Tensor all = torch::arange(32 * 5);
  expect_same(router->forward(x.narrow(0, 0, 11)), all.narrow(0, 0, 55), "split");
  expect_same(router->forward(x.narrow(0, 31, 1)), all.narrow(0, 155, 5), "alone");
  const torch::Tensor order = torch::randperm(32);
  const torch::Tensor rows = (order.unsqueeze(1) * 5 + torch::arange(5)).flatten();
  expect_same(router->forward(x.index_select(0, order)), rows, "permuted");
  const Routing padded = router->forward(torch::cat({x, torch::zeros({7, 5, kWidth})}));
  EXPECT_TRUE(torch::equal(padded.assignment.experts.narrow(0, 0, 160), whole.assignment.experts));
}

TEST_P(TokenRouterTest, IsDeterministicInEvaluation) {
  const TokenRouter router = Make(Options(GetParam()));
  const torch::Tensor x = torch::randn({2, 5, kWidth});
  EXPECT_TRUE(
      torch::equal(router->forward(x).assignment.weights, router->forward(x).assignment.weights));
}

TEST_P(TokenRouterTest, TrainsWithTermsThatReachItsParameters) {
  const TokenRouter router = Make(Options(GetParam()));
  router->train();
  SparseFfn layer(router, 8, 0.0);
  const TokenLayerOutput output = layer.forward(torch::randn({4, 6, kWidth}));
  const auto terms = RouterTerms(*router, output.routing, {.balance = 1.0, .z = 1.0});
  (output.y.square().sum() + Total(terms)).backward();
  for (const auto& parameter : router->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenRouterTest, ::testing::ValuesIn(Kinds()),
                         [](const auto& param_info) {
                           return absl::StrReplaceAll(std::string(NameOf(param_info.param)),
                                                      {{"-", "_"}});
                         });

TEST(RouterOptionsTest, AllFaultsComeAtOnce) {
  EXPECT_THAT(MakeTokenRouter({.kind = RouterKind::kSwitch,
                               .width = 0,
                               .experts = 4,
                               .top_k = 5,
                               .jitter = std::nan("")}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("router width is 0, must be from 1 to 65536"),
                             HasSubstr("top_k is 5, must be from 1 to 4"),
                             HasSubstr("router jitter is nan, must be from 0 to 0.5"),
                             HasSubstr("top_k of router switch is 5, must be from 1 to 1"))));
  EXPECT_THAT(MakeTokenRouter({.kind = RouterKind::kCrossAttention, .width = 10, .experts = 4}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("router heads is 4, must be a divisor of the width 10")));
}

// models.md section 10, check 5: S1 divides a gate by its sum over the batch, so that a picture's
// answer depends on its neighbours. What every router here must not do.
TEST(BatchTrapTest, S1sGateDependsOnTheBatch) {
  const auto s1 = [](const std::vector<double>& scores) {
    const torch::Tensor s = Row(scores);
    return s / (s.sum() + 1e-6) * static_cast<double>(scores.size());
  };
  EXPECT_NEAR(s1({0.6})[0].item<double>(), 0.999998, 1e-6);
  EXPECT_NEAR(s1({0.6, 0.9})[0].item<double>(), 0.799999, 1e-6);
  EXPECT_NEAR(s1({0.6, 0.9})[1].item<double>(), 1.199999, 1e-6);
}

// Check 18.
TEST(TopTwoTest, RenormalisedIsTheSoftmaxOfTheKept) {
  const torch::Tensor z = Row({2, 1, 0}).unsqueeze(0);
  EXPECT_TRUE(torch::allclose(z.softmax(-1)[0], Row({.665241, .244728, .090031}), 0, 1e-6));
  const Assignment chosen = ChooseTopK(z.softmax(-1), 2, /*renormalise=*/true);
  EXPECT_TRUE(torch::allclose(chosen.weights[0], Row({.731059, .268941}), 0, 1e-6));
  EXPECT_TRUE(torch::allclose(chosen.weights[0], Row({2, 1}).softmax(-1), 0, 1e-12));
}

// Check 17.
TEST(LossFreeTest, TheBiasMovesByTheSignAndWeightsIgnoreIt) {
  RouterOptions options = Options(RouterKind::kLossFree);
  options.experts = 4;
  const TokenRouter router = Make(options);
  router->Balance(torch::tensor({40.0, 30.0, 20.0, 10.0}));
  auto& loss_free = dynamic_cast<LossFreeRouter&>(*router);
  EXPECT_TRUE(torch::allclose(loss_free.bias, torch::tensor({-.001, -.001, .001, .001})));
  const torch::Tensor x = torch::randn({1, 8, kWidth});
  loss_free.bias.copy_(torch::tensor({100.0, 100.0, 0.0, 0.0}));
  const Routing routing = router->forward(x);
  EXPECT_LT(routing.assignment.experts.max().item<int64_t>(), 2);  // The bias chose.
  const torch::Tensor scores = torch::sigmoid(routing.logits).narrow(1, 0, 2);
  const torch::Tensor want = std::get<0>((scores / scores.sum(-1, true)).sort(-1));
  EXPECT_TRUE(torch::allclose(std::get<0>(routing.assignment.weights.sort(-1)), want));
}

// Check 19.
TEST(ExpertChoiceTest, EveryExpertTakesItsBestTokens) {
  const torch::Tensor scores =
      torch::tensor({{.9, .1}, {.8, .2}, {.3, .7}, {.4, .6}}, torch::kFloat64);
  const Assignment chosen = ChooseTokens(scores, /*k=*/2);
  EXPECT_TRUE(torch::equal(chosen.experts,
                           torch::tensor({{0, -1}, {0, -1}, {-1, 1}, {-1, 1}}, torch::kInt64)));
  EXPECT_TRUE(torch::equal(
      chosen.weights, torch::tensor({{.9, 0.}, {.8, 0.}, {0., .7}, {0., .6}}, torch::kFloat64)));
}

TEST(ExpertChoiceTest, PicturesOfABatchChooseEachForItself) {
  torch::manual_seed(3);
  const torch::Tensor scores = torch::rand({4, 6, 3});
  const Assignment all = ChooseTokens(scores, /*k=*/2);
  for (int64_t picture = 0; picture < 4; ++picture) {
    const Assignment alone = ChooseTokens(scores[picture], /*k=*/2);
    EXPECT_TRUE(torch::equal(all.experts[picture], alone.experts));
    EXPECT_TRUE(torch::equal(all.weights[picture], alone.weights));
  }
}

// Check 19.
TEST(SoftRouterTest, MixesBySoftmaxesOfTokensAndOfSlots) {
  const SoftRouting mix = MixSoftly(torch::eye(2, torch::kFloat64).unsqueeze(0));
  const torch::Tensor want =
      torch::tensor({{.731059, .268941}, {.268941, .731059}}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(mix.dispatch[0], want, 0, 1e-6));
  EXPECT_TRUE(torch::allclose(mix.combine[0], want, 0, 1e-6));
}

TEST(SoftFfnTest, IsDifferentiableAndOfThePictureAlone) {
  torch::manual_seed(2);
  SoftFfn layer(kWidth, 3, 2, 8, 0.0);
  layer.to(torch::kFloat64);
  const torch::Tensor x = torch::randn({3, 5, kWidth}, torch::kFloat64).requires_grad_();
  EXPECT_TRUE(
      torch::allclose(layer.forward(x).y[1], layer.forward(x.narrow(0, 1, 1)).y[0], 1e-10, 1e-12));
  const auto loss = [&] { return layer.forward(x).y.square().sum(); };
  EXPECT_LT(GradientError(loss, x), 1e-6);
  for (const auto& parameter : layer.named_parameters()) {
    EXPECT_LT(GradientError(loss, parameter.value()), 1e-6) << parameter.key();
  }
}

TEST(CapacityTest, FirstChoicesOfTheSurestTokensComeFirst) {
  // Three tokens want expert 0 first; it has two places. Token 2 is the surest, then 0.
  const torch::Tensor experts = torch::tensor({{0, 1}, {0, 1}, {0, 2}}, torch::kInt64);
  const torch::Tensor kept =
      KeepWithinCapacity(experts, torch::tensor({.6, .5, .9}), /*count=*/3, /*capacity=*/2);
  EXPECT_TRUE(torch::equal(kept, torch::tensor({{0, 1}, {-1, 1}, {0, 2}}, torch::kInt64)));
}

TEST(SmoothLoadTest, IsTheShareOfDrawsThatStayAboveTheThreshold) {
  const torch::Tensor clean = Row({1.0, 0.5, 0.0}).unsqueeze(0);
  const torch::Tensor noisy = Row({1.1, 0.3, 0.2}).unsqueeze(0);
  const torch::Tensor load = SmoothLoad(clean, noisy, torch::full({1, 1}, 0.5), /*k=*/2);
  // The threshold is .3: Φ(1.4), Φ(.4), Φ(-.6).
  EXPECT_TRUE(torch::allclose(load, Row({.919243, .655422, .274253}), 0, 1e-5));
}

TEST(NoisyTopKTest, NoiseIsOfTrainingAlone) {
  const TokenRouter router = Make(Options(RouterKind::kNoisyTopK));
  const torch::Tensor x = torch::randn({2, 5, kWidth});
  router->train();
  const Routing noisy = router->forward(x);
  EXPECT_FALSE(torch::equal(noisy.probabilities, router->forward(x).probabilities));
  EXPECT_EQ(noisy.smooth_load.sizes(), (std::vector<int64_t>{kExperts}));
  router->eval();
  EXPECT_FALSE(router->forward(x).smooth_load.defined());
}

class UncertainRouterTest : public ::testing::TestWithParam<UncertaintyMode> {};

TEST_P(UncertainRouterTest, GivesDistributionsInBothModes) {
  RouterOptions options = Options(RouterKind::kUncertain);
  options.mode = GetParam();
  const TokenRouter router = Make(options);
  const torch::Tensor x = torch::randn({2, 5, kWidth}).requires_grad_();
  for (const bool training : {true, false}) {
    router->train(training);
    const Routing routing = router->forward(x);
    EXPECT_TRUE(torch::allclose(routing.probabilities.sum(-1), torch::ones({10})));
    const bool passes =
        GetParam() != UncertaintyMode::kOff && (training || GetParam() != UncertaintyMode::kMean);
    EXPECT_EQ(routing.uncertainty.defined(), passes);
    const auto gradient =
        torch::autograd::grad({routing.assignment.weights.select(1, 0).sum()}, {x});
    EXPECT_TRUE(gradient[0].isfinite().all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, UncertainRouterTest,
                         ::testing::Values(UncertaintyMode::kOff, UncertaintyMode::kMean,
                                           UncertaintyMode::kMeanTest, UncertaintyMode::kInvStd,
                                           UncertaintyMode::kWhiten));

TEST(UncertaintyTest, StatisticsAreThoseOfTheDefinition) {
  const torch::Tensor passes =
      torch::tensor({{{.6, .4}}, {{.8, .2}}}, torch::kFloat64);  // M 2, n 1, E 2
  const PassStatistics statistics = StatisticsOf(passes);
  EXPECT_TRUE(torch::allclose(statistics.mean[0], Row({.7, .3})));
  EXPECT_TRUE(torch::allclose(statistics.covariance[0],
                              torch::tensor({{.02, -.02}, {-.02, .02}}, torch::kFloat64)));
  // Equal deviations: dividing by them changes nothing.
  EXPECT_TRUE(torch::allclose(Normalise(statistics, UncertaintyMode::kInvStd)[0], Row({.7, .3})));
}

TEST(UncertaintyTest, InverseDeviationFavoursTheSurerExpert) {
  const PassStatistics statistics{.mean = torch::tensor({{.4, .4, .2}}, torch::kFloat64),
                                  .covariance = torch::diag(Row({.01, .0001, .0001})).unsqueeze(0)};
  const torch::Tensor p = Normalise(statistics, UncertaintyMode::kInvStd)[0];
  // .4/.101, .4/.011, .2/.011, renormalised.
  EXPECT_TRUE(torch::allclose(p, Row({.067692, .621539, .310769}), 0, 1e-5));
}

TEST(UncertaintyTest, WhiteningIsTheInverseSquareRoot) {
  const PassStatistics statistics{
      .mean = torch::tensor({{.5, .5}}, torch::kFloat64),
      .covariance = torch::diag(Row({1.0 - 1e-5, 4.0 - 1e-5})).unsqueeze(0)};
  EXPECT_TRUE(torch::allclose(Normalise(statistics, UncertaintyMode::kWhiten)[0],
                              Row({.5, .25}).softmax(-1), 0, 1e-9));
}

}  // namespace
}  // namespace orchard::nets
