#include "nets/serve/frozen.h"

#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/passes/graph_rewrite_helper.h>

#include "nets/guarded.h"

namespace orchard::nets {
namespace {

namespace jit = torch::jit;

/// Records `forward` as the method of a script module without attributes: parameters that the
/// tracer doesn't know become constants, which is what freezing would make of them.
jit::Module Trace(const std::string& name, const Forward& forward, const torch::Tensor& example) {
  jit::Module traced(name);
  const auto run = [&forward](jit::Stack inputs) -> jit::Stack {
    std::vector<c10::IValue> outputs;
    for (torch::Tensor& output : forward(inputs.at(0).toTensor())) {
      outputs.emplace_back(std::move(output));
    }
    return {c10::ivalue::Tuple::create(std::move(outputs))};
  };
  const auto no_names = [](const torch::Tensor&) { return std::string(); };
  auto [state, stack] = jit::tracer::trace({example}, run, no_names, /*strict=*/true,
                                           /*force_outplace=*/true, &traced, {"x"});
  // The optimiser's passes know aten::conv2d, tracing records aten::_convolution.
  jit::graph_rewrite_helper::replaceConvolutionWithAtenConv(state->graph);
  auto* method = traced._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*traced.type()->name(), "forward"), state->graph);
  traced.type()->addMethod(method);
  return traced;
}

}  // namespace

absl::StatusOr<FrozenNet> FrozenNet::Make(const std::string& name, torch::nn::Module& module,
                                          const Forward& forward, const torch::Tensor& example) {
  return Guarded("freezing a network", [&]() -> absl::StatusOr<FrozenNet> {
    module.eval();
    for (torch::Tensor& parameter : module.parameters()) parameter.set_requires_grad(false);
    const torch::NoGradGuard guard;
    jit::Module traced = Trace(name, forward, example);
    traced.eval();
    jit::Module frozen = jit::freeze(traced);
    return FrozenNet(jit::optimize_for_inference(frozen));
  });
}

absl::StatusOr<std::vector<torch::Tensor>> FrozenNet::Run(const torch::Tensor& input) const {
  return Guarded("running a network", [&]() -> absl::StatusOr<std::vector<torch::Tensor>> {
    const c10::InferenceMode guard;
    const c10::IValue result = graph_.forward({input});  // Named: its elements are borrowed below.
    std::vector<torch::Tensor> outputs;
    for (const c10::IValue& output : result.toTupleRef().elements()) {
      outputs.push_back(output.toTensor());
    }
    return outputs;
  });
}

}  // namespace orchard::nets
