#include "nets/vit_moe/vit_moe.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/parameter_count.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/nets/gradient_check.h"

namespace orchard::nets {
namespace {

using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// 12 × 12 pixels, 9 patches, two small layers.
VitOptions Small(VitMode mode, VitLayer layer = VitLayer::kExperts) {
  VitOptions options{.mode = mode,
                     .layer = layer,
                     .classes = 5,
                     .side = 12,
                     .patch = 4,
                     .width = 16,
                     .layers = 2,
                     .heads = 4,
                     .hidden = 24};
  options.router.experts = 4;
  options.router.top_k = 2;
  return options;
}

// models.md section 10, check 15. The readme's 18,756,846 is no count of parameters: an ONNX export
// of the 43-class network adds 1,475 elements in Constant nodes.
TEST(VitCountTest, ParityHasS2sParameters) {
  VitOptions options{.mode = VitMode::kParity, .classes = 43};
  EXPECT_EQ(ParityParameterCount(options), 18'755'371);
  EXPECT_EQ(ParityParameterCount(options) + 1'475, 18'756'846);
  options.classes = 10;
  EXPECT_EQ(ParityParameterCount(options), 18'749'002);
  EXPECT_EQ(CountParameters(*Vit(options)), 18'749'002);
  VitOptions block = Small(VitMode::kParity);
  EXPECT_EQ(CountParameters(*Vit(block)), ParityParameterCount(block));
}

TEST(VitCountTest, CorrectedHasItsParametersAndUsesHalfOfThem) {
  const VitOptions options{.classes = 43};
  EXPECT_EQ(CountParameters(*Vit(options)), 10'709'803);
  EXPECT_EQ(ActiveParameters(options), 5'380'651);
  EXPECT_EQ(10'709'803 - (43 - 10) * (192 + 1), 10'703'434);  // 10 classes
}

TEST(VitCountTest, MultiplyAddsAreThoseOfTheSpecification) {
  EXPECT_EQ(MultiplyAdds(VitOptions{.mode = VitMode::kParity, .classes = 43}), 1'311'260'160);
  EXPECT_EQ(MultiplyAdds(VitOptions{.classes = 43}), 361'032'960);
  EXPECT_EQ(MultiplyAdds(VitOptions{.layer = VitLayer::kDense, .classes = 43}), 187'723'200);
}

// models.md section 6.2: the passes cost M · D · E of each token.
TEST(VitCountTest, PassesOfARouterAreMultiplyAdds) {
  VitOptions options{.layer = VitLayer::kModulated, .classes = 43};
  const int64_t one_pass = MultiplyAdds(options);
  options.router.kind = RouterKind::kUncertain;
  options.router.mode = UncertaintyMode::kOff;
  EXPECT_EQ(MultiplyAdds(options), one_pass);
  options.router.mode = UncertaintyMode::kInvStd;
  EXPECT_EQ(MultiplyAdds(options) - one_pass, 9 * 65 * 5 * 192 * 7);
}

TEST(VitCountTest, TheStemReplacesThePatchProjection) {
  VitOptions options{.layer = VitLayer::kDense, .classes = 10, .layers = 1};
  const int64_t plain = CountParameters(*Vit(options));
  const int64_t plain_work = MultiplyAdds(options);
  options.convolutional_stem = true;
  const int64_t d = 192;
  // 3×3 from 3 to 48, 96, 192 with norms, 1×1 with bias; instead of 48 D + D.
  const int64_t stem = 9 * (3 * 48 + 48 * 96 + 96 * d) + 2 * (48 + 96 + d) + d * d + d;
  EXPECT_EQ(CountParameters(*Vit(options)), plain - (48 * d + d) + stem);
  EXPECT_EQ(MultiplyAdds(options) - plain_work,
            1024 * 27 * 48 + 256 * 9 * 48 * 96 + 64 * 9 * 96 * d + 64 * d * d - 64 * 48 * d);
  EXPECT_EQ(Vit(options)->forward(torch::zeros({2, 3, 32, 32})).logits.sizes(),
            (std::vector<int64_t>{2, 10}));
}

struct VitCase {
  std::string name;
  VitOptions options;
};

void PrintTo(const VitCase& c, std::ostream* out) { *out << c.name; }

std::vector<VitCase> Cases() {
  std::vector<VitCase> cases = {
      {"Parity", Small(VitMode::kParity)},
      {"Corrected", Small(VitMode::kCorrected)},
      {"Dense", Small(VitMode::kCorrected, VitLayer::kDense)},
      {"Soft", Small(VitMode::kCorrected, VitLayer::kSoft)},
      {"ModulatedStatic", Small(VitMode::kCorrected, VitLayer::kModulated)},
      {"ModulatedCondUncertain", Small(VitMode::kCorrected, VitLayer::kModulated)},
      {"Stem", Small(VitMode::kCorrected)},
  };
  cases[5].options.fme.kind = FmeKind::kCond;
  cases[5].options.router.kind = RouterKind::kUncertain;
  cases[5].options.router.mode = UncertaintyMode::kInvStd;
  cases[6].options.convolutional_stem = true;
  return cases;
}

class VitTest : public ::testing::TestWithParam<VitCase> {};

// models.md section 9, batch invariance, levels 1 and 2.
TEST_P(VitTest, APicturesLogitsAndChoicesAreItsOwn) {
  torch::manual_seed(7);
  Vit vit(GetParam().options);
  vit->eval();
  const torch::NoGradGuard guard;
  const torch::Tensor x = torch::randn({32, 3, 12, 12});
  const VitOutput whole = vit->forward(x);
  const int64_t tokens = 10;
  const auto expect_same = [&](const VitOutput& part, const torch::Tensor& pictures,
                               const std::string& what) {
    const int64_t n = pictures.size(0);
    EXPECT_TRUE(torch::allclose(part.logits.narrow(0, 0, n), whole.logits.index_select(0, pictures),
                                1e-5, 1e-5))
        << what;
    const torch::Tensor rows = (pictures.unsqueeze(1) * tokens + torch::arange(tokens)).flatten();
    for (size_t i = 0; i < whole.routing.size(); ++i) {
      EXPECT_TRUE(torch::equal(part.routing[i].assignment.experts.narrow(0, 0, n * tokens),
                               whole.routing[i].assignment.experts.index_select(0, rows)))
          << what << ", layer " << i;
    }
  };
  const torch::Tensor order = torch::randperm(32);
  expect_same(vit->forward(x.index_select(0, order)), order, "permuted");
  expect_same(vit->forward(x.narrow(0, 5, 9)), torch::arange(5, 14), "split");
  expect_same(vit->forward(torch::cat({x, torch::zeros({3, 3, 12, 12})})), torch::arange(32),
              "padded");
}

/// For every parameter the derivative along a random direction, against central differences: one
/// backward pass for all of them. Names those that differ.
std::vector<std::string> WrongGradients(const std::function<torch::Tensor()>& loss,
                                        torch::nn::Module& module) {
  constexpr double kStep = 1e-5;
  module.zero_grad();
  loss().backward();
  const torch::NoGradGuard guard;
  std::vector<std::string> wrong;
  for (const auto& entry : module.named_parameters()) {
    torch::Tensor parameter = entry.value();
    torch::Tensor direction = torch::randn_like(parameter);
    direction /= direction.norm();
    parameter.add_(direction, kStep);
    const double above = loss().item<double>();
    parameter.add_(direction, -2 * kStep);
    const double below = loss().item<double>();
    parameter.add_(direction, kStep);
    const double want = (above - below) / (2 * kStep);
    const torch::Tensor gradient = parameter.grad();
    const double got = gradient.defined() ? (gradient * direction).sum().item<double>() : 0.0;
    if (!(std::abs(got - want) <= 1e-6 * std::max(1.0, std::abs(want)))) {
      wrong.push_back(absl::StrCat(entry.key(), ": ", got, ", not ", want));
    }
  }
  return wrong;
}

TEST_P(VitTest, GradientsAreThoseOfFiniteDifferences) {
  torch::manual_seed(7);
  VitOptions options = GetParam().options;
  options.router.mode = UncertaintyMode::kMeanTest;  // Spread is a constant to the gradient.
  Vit vit(options);
  vit->to(torch::kFloat64);
  vit->eval();
  {
    // Away from zeros: a class token of zeros has all gates equal and norms at their steepest.
    const torch::NoGradGuard guard;
    for (torch::Tensor& parameter : vit->parameters()) {
      parameter.add_(torch::randn_like(parameter) * 0.1);
    }
  }
  const torch::Tensor x = torch::randn({2, 3, 12, 12}, torch::kFloat64).requires_grad_();
  const auto loss = [&] {
    const VitOutput output = vit->forward(x);
    const auto terms = vit->Terms(output, {.balance = 0.1, .z = 0.1, .norm = 0.1});
    return output.logits.square().sum() + Total(terms);
  };
  EXPECT_LT(GradientError(loss, x), 1e-6);
  EXPECT_THAT(WrongGradients(loss, *vit), ::testing::IsEmpty());
}

TEST_P(VitTest, LearnsTwoPicturesByHeart) {
  torch::manual_seed(7);
  VitOptions options = GetParam().options;
  options.dropout = options.attention_dropout = options.drop_path = 0.0;
  Vit vit(options);
  torch::optim::Adam adam(vit->parameters(), torch::optim::AdamOptions(3e-3));
  const torch::Tensor x = torch::randn({2, 3, 12, 12});
  const torch::Tensor labels = torch::tensor({1, 3}, torch::kInt64);
  double loss = 0.0;
  for (int step = 0; step < 60; ++step) {
    adam.zero_grad();
    const torch::Tensor value = torch::cross_entropy_loss(vit->forward(x).logits, labels);
    value.backward();
    adam.step();
    loss = value.item<double>();
  }
  EXPECT_LT(loss, 0.2);  // It began at ln 5 = 1.6.
}

INSTANTIATE_TEST_SUITE_P(Table, VitTest, ::testing::ValuesIn(Cases()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(VitTermsTest, ParityNamesThePenaltyApartFromTheBalance) {
  torch::manual_seed(7);
  Vit vit(Small(VitMode::kParity));
  vit->eval();
  const VitOutput output = vit->forward(torch::randn({4, 3, 12, 12}));
  const auto terms = vit->Terms(output, ParityRouterWeights());
  std::map<std::string, LossTerm> by_name;
  for (const LossTerm& term : terms) by_name[term.name] = term;
  ASSERT_EQ(by_name.size(), 2U);
  double norm = 0.0;
  double balance = 0.0;
  const auto routers = vit->Routers();
  for (size_t i = 0; i < routers.size(); ++i) {
    norm += routers[i]->ExpertEmbeddings().norm().item<double>() / 2;
    const torch::Tensor f = LoadShares(output.routing[i].assignment.experts, 4);
    balance += 4 * (f * output.routing[i].probabilities.mean(0)).sum().item<double>() / 2;
  }
  EXPECT_NEAR(by_name["router_norm"].value.item<double>(), norm, 1e-5);
  EXPECT_EQ(by_name["router_norm"].weight, 0.03);
  EXPECT_NEAR(by_name["balance"].value.item<double>(), balance, 1e-5);
  EXPECT_EQ(by_name["balance"].weight, 1.0);
}

TEST(VitNamesTest, AreTimms) {
  const auto names = Vit(Small(VitMode::kCorrected, VitLayer::kDense))->named_parameters();
  for (const char* name :
       {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.1.norm1.weight",
        "blocks.1.attn.qkv.weight", "blocks.1.attn.proj.bias", "blocks.1.norm2.bias", "norm.weight",
        "head.bias"}) {
    EXPECT_NE(names.find(name), nullptr) << name;
  }
}

TEST(VitOptionsTest, AllFaultsComeAtOnce) {
  VitOptions options{.mode = VitMode::kParity,
                     .layer = VitLayer::kDense,
                     .classes = 1,
                     .side = 30,
                     .heads = 7,
                     .dropout = -1.0};
  EXPECT_THAT(MakeVit(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("classes is 1, must be from 2 to 65536"),
                             HasSubstr("side is 30, must be a multiple of the patch 4"),
                             HasSubstr("heads is 7, must be a divisor of the width 192"),
                             HasSubstr("dropout is -1, must be from 0 to 0.9"),
                             HasSubstr("mode parity has experts as its layer"))));
  options = {.classes = 10, .side = 30, .patch = 5, .convolutional_stem = true};
  options.router.top_k = 8;
  EXPECT_THAT(MakeVit(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("patch is 5, must be a power of two with the convolutional"),
                             HasSubstr("top_k is 8, must be from 1 to 7"))));
}

}  // namespace
}  // namespace orchard::nets
