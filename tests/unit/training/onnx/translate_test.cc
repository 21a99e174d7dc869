#include "training/onnx/translate.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/vit_moe/vit_moe.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/onnx/onnx_cases.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// "batch, 7": as a file says a value's shape.
std::string ShapeOf(const onnx::ValueInfoProto& value) {
  std::string text;
  for (const auto& dim : value.type().tensor_type().shape().dim()) {
    text += text.empty() ? "" : ", ";
    text += dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param();
  }
  return text;
}

class EveryArchitectureTest : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryArchitectureTest, IsAnOnnxModelForAnyNumberOfPictures) {
  const model::PartNetwork part = MakeOnnxCase(GetParam());
  const auto model = TranslateToOnnx(part, {{"orchard.part", part.name}});
  ASSERT_THAT(model, IsOk());
  ASSERT_EQ(model->opset_import_size(), 1);
  EXPECT_EQ(model->opset_import(0).domain(), "");
  EXPECT_EQ(model->opset_import(0).version(), 17);
  EXPECT_EQ(model->metadata_props(0).value(), part.name);

  const onnx::GraphProto& graph = model->graph();
  ASSERT_EQ(graph.input_size(), 1);
  EXPECT_EQ(graph.input(0).name(), part.input);
  EXPECT_THAT(ShapeOf(graph.input(0)), ::testing::StartsWith("batch, "));
  std::vector<std::string> outputs;
  for (const onnx::ValueInfoProto& output : graph.output()) {
    outputs.push_back(output.name());
    EXPECT_THAT(ShapeOf(output), ::testing::StartsWith("batch")) << output.name();
  }
  EXPECT_EQ(outputs, part.outputs);
  // Nothing has the size of a recording's batch: what varies says so.
  for (const onnx::ValueInfoProto& value : graph.value_info()) {
    for (const auto& dim : value.type().tensor_type().shape().dim()) {
      EXPECT_TRUE(dim.has_dim_value() || !dim.dim_param().empty()) << value.name();
    }
  }
}

TEST_P(EveryArchitectureTest, HoldsEveryWeightOnce) {
  const model::PartNetwork part = MakeOnnxCase(GetParam());
  const auto model = TranslateToOnnx(part, {});
  ASSERT_THAT(model, IsOk());
  int64_t numbers = 0;
  std::set<std::string> names;
  for (const onnx::TensorProto& tensor : model->graph().initializer()) {
    EXPECT_TRUE(names.insert(tensor.name()).second) << tensor.name();
    int64_t size = 1;
    for (const int64_t dim : tensor.dims()) size *= dim;
    if (tensor.data_type() == onnx::TensorProto::FLOAT) numbers += size;
  }
  int64_t parameters = 0;
  for (const torch::Tensor& parameter : part.module->parameters()) parameters += parameter.numel();
  // Statistics of norms and a few constants come to the parameters. Left out is what only training
  // reads (a noisy router's noise), and what is done at once (the map of a router's keys), both in
  // two layers.
  const int64_t left_out = GetParam() == "vit_noisy-topk"        ? 2 * 24 * 5
                           : GetParam() == "vit_cross-attention" ? 2 * 24 * 24
                                                                 : 0;
  EXPECT_GE(numbers, parameters - left_out);
  EXPECT_LE(numbers, parameters * 11 / 10 + 500);
}

INSTANTIATE_TEST_SUITE_P(All, EveryArchitectureTest, ::testing::ValuesIn(OnnxCaseNames()),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           for (char& letter : name) {
                             if (letter == '-') letter = '_';
                           }
                           return name;
                         });

/// One linear layer and `f` behind it, on four features.
template <typename Function>
model::PartNetwork Small(const Function& f) {
  torch::nn::Linear layer(4, 3);
  for (torch::Tensor& parameter : layer->parameters()) parameter.set_requires_grad(false);
  return {.name = "small",
          .module = layer.ptr(),
          .forward =
              [layer, f](const torch::Tensor& x) mutable {
                return std::vector<torch::Tensor>{f(layer(x))};
              },
          .input = "pooled",
          .row_shape = {4},
          .outputs = {"y"}};
}

TEST(TranslateToOnnxTest, CallsNodesAndWeightsAfterTheModulesThatTheyAreOf) {
  const auto part = MakeOnnxCase("mobilenet_v2");
  const auto model = TranslateToOnnx(part, {});
  ASSERT_THAT(model, IsOk());
  std::set<std::string> nodes, weights;
  for (const onnx::NodeProto& node : model->graph().node()) nodes.insert(node.name());
  for (const auto& tensor : model->graph().initializer()) weights.insert(tensor.name());
  EXPECT_TRUE(nodes.contains("features.1.conv.0.0/Conv"));
  EXPECT_TRUE(nodes.contains("features.1.conv.0.1/BatchNormalization"));
  EXPECT_TRUE(weights.contains("features.1.conv.0.0.weight"));
  EXPECT_TRUE(weights.contains("features.1.conv.0.1.running_var"));
}

TEST(TranslateToOnnxTest, NamesEveryStepThatItDoesNotKnow) {
  const auto model = TranslateToOnnx(
      Small([](const torch::Tensor& y) { return std::get<0>(torch::cummax(torch::sinh(y), 1)); }),
      {});
  EXPECT_THAT(model.status(), StatusIs(absl::StatusCode::kUnimplemented,
                                       AllOf(HasSubstr("small"), HasSubstr("aten::sinh"),
                                             HasSubstr("aten::cummax"))));
}

TEST(TranslateToOnnxTest, RefusesWhatDependsOnTheNumberOfPictures) {
  const auto first = TranslateToOnnx(
      Small([](const torch::Tensor& y) { return y.narrow(0, 0, y.size(0) - 1); }), {});
  EXPECT_THAT(first.status(), StatusIs(absl::StatusCode::kInternal,
                                       HasSubstr("depends on the number of pictures")));
  const auto steps = TranslateToOnnx(Small([](torch::Tensor y) {
                                       for (int64_t i = 0; i < y.size(0); ++i) y = y + 1.0;
                                       return y;
                                     }),
                                     {});
  EXPECT_THAT(steps.status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("depend on the number of pictures")));
}

TEST(TranslateToOnnxTest, RefusesAWhiteningRouterForWhichOnnxHasNoOperator) {
  nets::VitOptions options;
  options.classes = 3;
  options.side = 8;
  options.width = 8;
  options.layers = 1;
  options.heads = 2;
  options.hidden = 8;
  options.router.kind = nets::RouterKind::kUncertain;
  options.router.mode = nets::UncertaintyMode::kWhiten;
  nets::Vit network = *nets::MakeVit(options);
  network->eval();
  for (torch::Tensor& parameter : network->parameters()) parameter.set_requires_grad(false);
  const model::PartNetwork part{.name = "whitening",
                                .module = network.ptr(),
                                .forward =
                                    [network](const torch::Tensor& x) mutable {
                                      return std::vector<torch::Tensor>{network->forward(x).logits};
                                    },
                                .input = "map",
                                .row_shape = {3, 8, 8},
                                .outputs = {"logits"}};
  EXPECT_THAT(TranslateToOnnx(part, {}).status(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("linalg_eigh")));
}

}  // namespace
}  // namespace orchard::training
