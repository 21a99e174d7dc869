#include "training/onnx/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/training/onnx/onnx_cases.h"
#include "training/onnx/onnx_graph.h"
#include "training/onnx/translate.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A convolution, a ReLU, a linear map: written by hand, without the shapes between.
onnx::ModelProto ByHand() {
  OnnxGraph graph("by hand");
  const std::string x =
      graph.AddInput("x", torch::kFloat32, {{.each = 1}, {.fixed = 3}, {.fixed = 8}, {.fixed = 8}});
  const std::string kernel = graph.AddInitialiser("kernel", torch::ones({4, 3, 3, 3}));
  const std::string convolved =
      graph.AddNode("Conv", {x, kernel}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}}, "first")[0];
  const std::string bent = graph.AddNode("Relu", {convolved}, {}, "first")[0];
  const std::string rows = graph.AddNode("Flatten", {bent})[0];
  const std::string weight = graph.AddInitialiser("weight", torch::ones({5, 256}));
  const std::string bias = graph.AddInitialiser("bias", torch::ones({5}));
  const std::string y =
      graph.AddNode("Gemm", {rows, weight, bias}, {{"transB", int64_t{1}}}, "last")[0];
  graph.AddOutput("y", y, torch::kFloat32, {{.each = 1}, {.fixed = 5}});
  return *graph.Finish({});
}

TEST(SummaryTest, CountsWhatLayersHoldAndDo) {
  const auto text = SummaryText(ByHand(), /*all=*/false);
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(*text, AllOf(HasSubstr("by hand: from x [batch, 3, 8, 8] to y [batch, 5]"),
                           HasSubstr("first/Conv"), HasSubstr("batch x 4 x 8 x 8"),
                           HasSubstr("108            6912"), HasSubstr("1285            1280"),
                           Not(HasSubstr("Relu"))));
  EXPECT_THAT(*text,
              HasSubstr("5 steps, 2 shown; 1393 parameters, 8192 multiply-adds a picture\n"));
}

TEST(SummaryTest, ShowsStepsWithoutWeightsWhereAsked) {
  EXPECT_THAT(*SummaryText(ByHand(), /*all=*/true),
              AllOf(HasSubstr("first/Relu"), HasSubstr("5 steps, 5 shown")));
}

TEST(SummaryTest, CountsTheEncoderAsItsPaperDoes) {
  const auto model = TranslateToOnnx(MakeOnnxCase("mobilenet_v2"), {});
  ASSERT_THAT(model, IsOk());
  // nets/mobilenet_v2.h: parameters without statistics, and multiply-adds at 224 × 224.
  EXPECT_THAT(*SummaryText(*model, /*all=*/false),
              HasSubstr("; 2223872 parameters, 299494272 multiply-adds a picture"));
}

}  // namespace
}  // namespace orchard::training
