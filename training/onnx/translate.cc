#include "training/onnx/translate.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/torch.h>

#include "nets/guarded.h"
#include "nets/sparse/every_expert.h"
#include "training/onnx/translation.h"

namespace orchard::training {
namespace {

namespace jit = torch::jit;

torch::ScalarType InputType(const model::PartNetwork& part) {
  return part.input == "pixels" ? torch::kUInt8 : torch::kFloat32;
}

/// What `part` does to so many rows, less what nobody reads.
std::shared_ptr<jit::Graph> Record(const model::PartNetwork& part, int64_t rows) {
  std::vector<int64_t> shape = part.row_shape;
  shape.insert(shape.begin(), rows);
  const torch::Tensor example =
      part.input == "pixels" ? torch::randint(0, 256, shape, torch::kUInt8) : torch::rand(shape);
  const auto run = [&part](jit::Stack inputs) -> jit::Stack {
    std::vector<c10::IValue> outputs;
    for (torch::Tensor& output : part.forward(inputs.at(0).toTensor())) {
      outputs.emplace_back(std::move(output));
    }
    return {c10::ivalue::Tuple::create(std::move(outputs))};
  };
  const auto no_names = [](const torch::Tensor&) { return std::string(); };
  std::shared_ptr<jit::Graph> graph =
      jit::tracer::trace({example}, run, no_names, /*strict=*/true, /*force_outplace=*/true)
          .first->graph;
  jit::EliminateDeadCode(graph);
  return graph;
}

/// Parameters, and the statistics of norms, by where they lie: what nodes are called after.
std::map<const void*, std::string> NamesOf(const torch::nn::Module& module) {
  std::map<const void*, std::string> names;
  for (const auto& entry : module.named_parameters()) {
    names[entry.value().data_ptr()] = entry.key();
  }
  for (const auto& entry : module.named_buffers()) {
    if (absl::StrContains(entry.key(), "running_")) names[entry.value().data_ptr()] = entry.key();
  }
  return names;
}

torch::ScalarType TypeOf(const jit::Value* value) {
  return value->type()->expectRef<c10::TensorType>().scalarType().value_or(torch::kFloat32);
}

/// Of an output: the batch, and what follows.
Shape OutputShape(const jit::Value* value) {
  Shape shape{{.each = 1}};
  const auto sizes = value->type()->expectRef<c10::TensorType>().sizes().concrete_sizes();
  TORCH_CHECK(sizes.has_value(), "an output has no shape");
  for (size_t i = 1; i < sizes->size(); ++i) shape.push_back({.fixed = (*sizes)[i]});
  return shape;
}

}  // namespace

absl::StatusOr<onnx::ModelProto> TranslateToOnnx(const model::PartNetwork& part,
                                                 const std::map<std::string, std::string>& facts) {
  const auto translate = [&]() -> absl::StatusOr<onnx::ModelProto> {
    const torch::NoGradGuard no_gradients;
    const nets::EveryExpert dense;
    const std::shared_ptr<jit::Graph> two = Record(part, 2);
    const std::shared_ptr<jit::Graph> three = Record(part, 3);
    OnnxGraph graph(part.name);
    Shape shape{{.each = 1}};
    for (const int64_t size : part.row_shape) shape.push_back({.fixed = size});
    Translation translation(graph, NamesOf(*part.module));
    const std::vector<Traced> outputs =
        translation.Run(*two, *three, graph.AddInput(part.input, InputType(part), shape));
    if (!translation.unknown().empty()) {
      return absl::UnimplementedError(absl::StrCat(
          part.name, ": not translated to ONNX: ", absl::StrJoin(translation.unknown(), ", ")));
    }
    const jit::Node* tuple = two->outputs().at(0)->node();
    TORCH_CHECK(outputs.size() == part.outputs.size(), part.name, " gives ", outputs.size(),
                " outputs, of which ", part.outputs.size(), " have names");
    for (size_t i = 0; i < outputs.size(); ++i) {
      const jit::Value* value = tuple->inputs()[i];
      graph.AddOutput(part.outputs[i], translation.Value(outputs[i], TypeOf(value)), TypeOf(value),
                      OutputShape(value));
    }
    return graph.Finish(facts);
  };
  return nets::Guarded(absl::StrCat(part.name, " to ONNX"), translate);
}

}  // namespace orchard::training
