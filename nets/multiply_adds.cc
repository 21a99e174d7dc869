#include "nets/multiply_adds.h"

#include <string>
#include <string_view>
#include <vector>

#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/nn.h>

#include "nets/guarded.h"

namespace orchard::nets {
namespace {

namespace jit = torch::jit;

/// The shape that a value had while it was traced.
std::vector<int64_t> ShapeOf(const jit::Value* value) {
  const auto type = value->type()->cast<c10::TensorType>();
  TORCH_CHECK(type && type->sizes().concrete_sizes().has_value(),
              "a traced tensor has no shape: ", value->debugName());
  return *type->sizes().concrete_sizes();
}

int64_t Product(const std::vector<int64_t>& shape, size_t from = 0) {
  int64_t product = 1;
  for (size_t i = from; i < shape.size(); ++i) product *= shape[i];
  return product;
}

int64_t CostOf(const jit::Node* node) {
  const std::string_view kind = node->kind().toQualString();
  const auto output = [node] { return Product(ShapeOf(node->output())); };
  if (kind == "aten::_convolution" || kind == "aten::conv2d") {
    return output() *
           Product(ShapeOf(node->input(1)), /*from=*/1);  // weight [out, in / groups, ..]
  }
  if (kind == "aten::linear") return output() * ShapeOf(node->input(1)).at(1);
  if (kind == "aten::matmul" || kind == "aten::bmm" || kind == "aten::mm") {
    return output() * ShapeOf(node->input(0)).back();
  }
  if (kind == "aten::addmm") return output() * ShapeOf(node->input(1)).back();
  return 0;
}

/// While it lives, no parameter of a module requires a gradient.
class WithoutGradients {
 public:
  explicit WithoutGradients(const torch::nn::Module& module) {
    for (torch::Tensor& parameter : module.parameters()) {
      if (!parameter.requires_grad()) continue;
      parameters_.push_back(parameter.set_requires_grad(false));
    }
  }
  ~WithoutGradients() {
    for (torch::Tensor& parameter : parameters_) parameter.set_requires_grad(true);
  }
  WithoutGradients(const WithoutGradients&) = delete;
  WithoutGradients& operator=(const WithoutGradients&) = delete;

 private:
  std::vector<torch::Tensor> parameters_;
};

}  // namespace

absl::StatusOr<int64_t> CountMultiplyAdds(
    torch::nn::Module& module, const std::function<torch::Tensor(const torch::Tensor&)>& forward,
    const torch::Tensor& example) {
  return Guarded("counting multiply-adds", [&]() -> absl::StatusOr<int64_t> {
    const torch::NoGradGuard guard;
    const WithoutGradients weights(module);  // The tracer keeps them as constants.
    const auto run = [&forward](jit::Stack inputs) -> jit::Stack {
      return {forward(inputs.at(0).toTensor())};
    };
    const auto no_names = [](const torch::Tensor&) { return std::string(); };
    const auto traced = jit::tracer::trace({example}, run, no_names);
    int64_t count = 0;
    for (const jit::Node* node : traced.first->graph->nodes()) count += CostOf(node);
    return count;
  });
}

}  // namespace orchard::nets
