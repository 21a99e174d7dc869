#include "nets/backbones/backbone.h"

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/backbones/efficientnet_lite.h"
#include "nets/multiply_adds.h"
#include "nets/parameter_count.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/nets/gradient_check.h"

namespace orchard::nets {
namespace {

using orchard::testing::IsOkAndHolds;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

Backbone Make(const BackboneOptions& options) {
  torch::manual_seed(1);
  Backbone backbone = *MakeBackbone(options);
  backbone->eval();
  return backbone;
}

/// models.md section 8, and the weights' README for the Lite networks.
struct BackboneCase {
  BackboneOptions options;
  int64_t parameters = 0;
  int64_t trunk = 0;
  int64_t side = 224;
  int64_t multiply_adds = 0;
};

void PrintTo(const BackboneCase& c, std::ostream* out) {
  *out << std::string(NameOf(c.options.kind));
}

class BackboneTest : public ::testing::TestWithParam<BackboneCase> {};

TEST_P(BackboneTest, HasThePublishedParameters) {
  EXPECT_EQ(CountParameters(*Make(GetParam().options)), GetParam().parameters);
  BackboneOptions trunk = GetParam().options;
  trunk.classes = 0;
  EXPECT_EQ(CountParameters(*Make(trunk)), GetParam().trunk);
}

TEST_P(BackboneTest, CostsThePublishedMultiplyAdds) {
  const Backbone backbone = Make(GetParam().options);
  const auto forward = [&](const torch::Tensor& x) { return backbone->forward(x); };
  const int64_t side = GetParam().side;
  EXPECT_THAT(CountMultiplyAdds(*backbone, forward, torch::zeros({1, 3, side, side})),
              IsOkAndHolds(GetParam().multiply_adds));
}

TEST_P(BackboneTest, GradientsReachEveryParameter) {
  const Backbone backbone = Make(GetParam().options);
  backbone->train();
  backbone->forward(torch::randn({2, 3, 64, 64})).square().sum().backward();
  for (const auto& parameter : backbone->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
  }
}

TEST_P(BackboneTest, PassesEachStageWithItsWidth) {
  const Backbone backbone = Make(GetParam().options);
  const torch::NoGradGuard guard;
  std::vector<int64_t> widths;
  const torch::Tensor map =
      backbone->Map(torch::randn({1, 3, 64, 64}), [&](size_t stage, const torch::Tensor& y) {
        EXPECT_EQ(stage, widths.size());
        widths.push_back(y.size(1));
        return y;
      });
  EXPECT_EQ(widths, backbone->StageChannels());
  EXPECT_EQ(map.size(1), widths.back());
}

INSTANTIATE_TEST_SUITE_P(
    Table, BackboneTest,
    ::testing::Values(
        BackboneCase{{.kind = BackboneKind::kSimpleCnn}, 93'248, 93'248, 256, 609'162'624},
        BackboneCase{{.kind = BackboneKind::kVgg16}, 14'714'688, 14'714'688, 224, 15'346'630'656},
        BackboneCase{{.kind = BackboneKind::kResNet18, .classes = 1000},
                     11'689'512,
                     11'176'512,
                     224,
                     1'814'073'344},
        BackboneCase{{.kind = BackboneKind::kResNet50, .classes = 1000},
                     25'557'032,
                     23'508'032,
                     224,
                     4'089'184'256},
        BackboneCase{{.kind = BackboneKind::kEfficientNetB0, .classes = 1000},
                     5'288'548,
                     4'007'548,
                     224,
                     385'814'752},
        BackboneCase{{.kind = BackboneKind::kEfficientNetLite0, .classes = 1000},
                     4'652'008,
                     3'371'008,
                     224,
                     385'187'552},
        BackboneCase{{.kind = BackboneKind::kEfficientNetLite2, .classes = 1000},
                     6'092'072,
                     4'811'072,
                     260,
                     859'736'272}),
    [](const auto& param_info) { return std::string(NameOf(param_info.param.options.kind)); });

// models.md section 7.2: Keras counts moving statistics, 53,120, as parameters.
TEST(KerasResNet50Test, HasKerasTrunk) {
  const Backbone keras = Make({.kind = BackboneKind::kResNet50, .keras = true});
  int64_t statistics = 0;
  for (const auto& buffer : keras->named_buffers()) {
    if (buffer.key().find("num_batches_tracked") == std::string::npos) {
      statistics += buffer.value().numel();
    }
  }
  EXPECT_EQ(statistics, 53'120);
  EXPECT_EQ(CountParameters(*keras), 23'508'032 + 26'560);
  EXPECT_EQ(CountParameters(*keras) + statistics, 23'587'712);
}

struct PaddingCase {
  int64_t size, kernel, stride, before, after;
};

TEST(SamePaddingTest, DependsOnTheSizeWithStrideTwo) {
  for (const PaddingCase& c :
       {PaddingCase{224, 3, 2, 0, 1}, PaddingCase{56, 5, 2, 1, 2}, PaddingCase{65, 5, 2, 2, 2},
        PaddingCase{33, 3, 2, 1, 1}, PaddingCase{14, 3, 1, 1, 1}, PaddingCase{17, 5, 1, 2, 2}}) {
    EXPECT_EQ(SamePadding(c.size, c.kernel, c.stride), std::pair(c.before, c.after)) << c.size;
  }
}

TEST(EfficientNetLiteTest, MapsOddSizesAsTheReadmeSays) {
  const Backbone lite2 = Make({.kind = BackboneKind::kEfficientNetLite2});
  std::vector<int64_t> sides;
  const torch::NoGradGuard guard;
  lite2->Map(torch::zeros({1, 3, 260, 260}), [&](size_t, const torch::Tensor& y) {
    sides.push_back(y.size(2));
    return y;
  });
  EXPECT_THAT(sides, ::testing::ElementsAre(130, 65, 33, 17, 17, 9, 9, 9));
}

TEST(MultiplyAddsTest, CountsConvolutionsLinearLayersAndProducts) {
  torch::nn::Conv2d convolution(torch::nn::Conv2dOptions(4, 6, 3).groups(2).padding(1));
  torch::nn::Linear linear(6, 5);
  torch::nn::ModuleList both(convolution, linear);
  const auto forward = [&](const torch::Tensor& x) {
    const torch::Tensor rows = linear(torch::relu(convolution(x)).mean({2, 3}));  // [2, 5]
    return torch::matmul(rows, rows.t());
  };
  EXPECT_THAT(CountMultiplyAdds(*both, forward, torch::zeros({2, 4, 7, 7})),
              IsOkAndHolds(2 * 6 * 49 * 2 * 9 + 2 * 6 * 5 + 2 * 2 * 5));
  EXPECT_TRUE(linear->weight.requires_grad());
}

TEST(MultiplyAddsTest, AForwardThatThrowsIsAnError) {
  const auto forward = [](const torch::Tensor& x) { return torch::matmul(x, x); };
  EXPECT_THAT(CountMultiplyAdds(*torch::nn::Linear(1, 1), forward, torch::zeros({2, 3})),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("counting multiply-adds")));
}

TEST(BackboneOptionsTest, AllFaultsComeAtOnce) {
  EXPECT_THAT(
      MakeBackbone(
          {.kind = BackboneKind::kVgg16, .classes = 10, .same_padding = true, .keras = true}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("vgg16 has no classifier of its own: classes is 10"),
                     HasSubstr("same_padding is of simple_cnn, not of vgg16"),
                     HasSubstr("keras is a form of resnet50, not of vgg16"))));
}

}  // namespace
}  // namespace orchard::nets
