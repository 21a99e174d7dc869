#include <numbers>

#include <torch/torch.h>

#include "training/onnx/operators.h"

namespace orchard::training {
namespace {

/// Of both directions: LibTorch takes one number for two equal ones.
std::vector<int64_t> Both(const std::vector<int64_t>& values) {
  return values.size() == 1 ? std::vector<int64_t>(2, values[0]) : values;
}

std::vector<int64_t> Twice(std::vector<int64_t> values) {
  const std::vector<int64_t> once = values;
  values.insert(values.end(), once.begin(), once.end());
  return values;
}

/// `dilation` and `groups`: where these inputs stand.
void Convolve(const Step& step, size_t dilation, size_t groups) {
  const torch::Tensor weight = step.Constant(1);  // [out, in / groups, k, k]
  std::vector<std::string> inputs{step.In(0), step.In(1)};
  if (!step.IsNone(2)) inputs.push_back(step.In(2));
  step.Give(step.Add("Conv", inputs,
                     {{"kernel_shape", weight.sizes().slice(2).vec()},
                      {"strides", Both(step.Ints(3))},
                      {"pads", Twice(Both(step.Ints(4)))},  // All before, then all after.
                      {"dilations", Both(step.Ints(dilation))},
                      {"group", step.Int(groups)}}));
}

void Conv2d(const Step& step) { Convolve(step, 5, 6); }

void Convolution(const Step& step) {
  TORCH_CHECK(!step.Bool(6), "a transposed convolution is not translated");
  Convolve(step, 5, 8);
}

/// x Wᵀ + b.
void Linear(const Step& step) {
  if (step.ShapeOf(0).size() == 2) {
    std::vector<std::string> inputs{step.In(0), step.In(1)};
    if (!step.IsNone(2)) inputs.push_back(step.In(2));
    return step.Give(step.Add("Gemm", inputs, {{"transB", int64_t{1}}}));
  }
  const std::string weight = step.Own(step.Constant(1).t().contiguous(), 1);
  const std::string y = step.Add("MatMul", {step.In(0), weight});
  step.Give(step.IsNone(2) ? y : step.Add("Add", {y, step.In(2)}));
}

void MatMul(const Step& step) { step.Give(step.Add("MatMul", {step.In(0), step.In(1)})); }

/// beta · input 0 + alpha · input 1 · input 2
void AddMm(const Step& step) {
  step.Give(step.Add("Gemm", {step.In(1), step.In(2), step.In(0)},
                     {{"beta", static_cast<float>(step.Number(3))},
                      {"alpha", static_cast<float>(step.Number(4))}}));
}

void BatchNorm(const Step& step) {
  TORCH_CHECK(!step.Bool(5), "a norm over the batch's own statistics depends on the batch");
  step.Give(step.Add("BatchNormalization",
                     {step.In(0), step.In(1), step.In(2), step.In(3), step.In(4)},
                     {{"epsilon", static_cast<float>(step.Number(7))}}));
}

void LayerNorm(const Step& step) {
  step.Give(step.Add("LayerNormalization", {step.In(0), step.In(2), step.In(3)},
                     {{"axis", -static_cast<int64_t>(step.Ints(1).size())},
                      {"epsilon", static_cast<float>(step.Number(4))}}));
}

void MaxPool(const Step& step) {
  const std::vector<int64_t> kernel = Both(step.Ints(1));
  const std::vector<int64_t> stride = step.Ints(2);
  step.Give(step.Add("MaxPool", {step.In(0)},
                     {{"kernel_shape", kernel},
                      {"strides", stride.empty() ? kernel : Both(stride)},
                      {"pads", Twice(Both(step.Ints(3)))},
                      {"dilations", Both(step.Ints(4))},
                      {"ceil_mode", int64_t{step.Bool(5)}}}));
}

/// One node of one input.
template <const char* kOp>
void Unary(const Step& step) {
  step.Give(step.Add(kOp, {step.In(0)}));
}
constexpr char kRelu[] = "Relu";
constexpr char kSigmoid[] = "Sigmoid";

void Silu(const Step& step) {
  const std::string x = step.In(0);
  step.Give(step.Add("Mul", {x, step.Add("Sigmoid", {x})}));
}

/// x · Φ(x) = x · (1 + erf(x / √2)) / 2
void Gelu(const Step& step) {
  TORCH_CHECK(step.inputs() < 2 || step.String(1) == "none", "a GELU by tanh is not translated");
  const torch::ScalarType type = step.OutputType();
  const std::string x = step.In(0);
  const std::string z =
      step.Add("Mul", {x, step.Scalar(1.0 / std::numbers::sqrt2_v<double>, type)});
  const std::string twice = step.Add("Add", {step.Add("Erf", {z}), step.Scalar(1.0, type)});
  step.Give(step.Add("Mul", {step.Add("Mul", {x, twice}), step.Scalar(0.5, type)}));
}

}  // namespace

Operators LayerOperators() {
  return {{"aten::_convolution", Convolution},
          {"aten::convolution", Convolution},
          {"aten::conv2d", Conv2d},
          {"aten::linear", Linear},
          {"aten::matmul", MatMul},
          {"aten::mm", MatMul},
          {"aten::bmm", MatMul},
          {"aten::addmm", AddMm},
          {"aten::batch_norm", BatchNorm},
          {"aten::layer_norm", LayerNorm},
          {"aten::max_pool2d", MaxPool},
          {"aten::relu", Unary<kRelu>},
          {"aten::sigmoid", Unary<kSigmoid>},
          {"aten::silu", Silu},
          {"aten::gelu", Gelu}};
}

}  // namespace orchard::training
