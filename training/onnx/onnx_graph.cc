#include "training/onnx/onnx_graph.h"

#include <exception>

#include "absl/strings/str_cat.h"
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include "core/version.h"

namespace orchard::training {
namespace {

constexpr int64_t kIrVersion = 8;  // of opset 17

void SetType(onnx::ValueInfoProto& value, torch::ScalarType type, const Shape& shape) {
  onnx::TypeProto::Tensor& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(static_cast<int32_t>(ElementType(type)));
  tensor.mutable_shape();  // A scalar's is there and empty.
  for (const Dim& dim : shape) {
    onnx::TensorShapeProto::Dimension& one = *tensor.mutable_shape()->add_dim();
    if (dim.Varies()) {
      one.set_dim_param(Text(dim));
    } else {
      one.set_dim_value(dim.fixed);
    }
  }
}

void SetTensor(onnx::TensorProto& out, const torch::Tensor& tensor) {
  const torch::Tensor plain = tensor.detach().cpu().contiguous();
  out.set_data_type(static_cast<int32_t>(ElementType(plain.scalar_type())));
  for (const int64_t size : plain.sizes()) out.add_dims(size);
  out.set_raw_data(plain.data_ptr(), plain.nbytes());
}

void SetAttribute(onnx::AttributeProto& out, const Attribute& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    out.set_type(onnx::AttributeProto::INT);
    out.set_i(*number);
  } else if (const auto* real = std::get_if<float>(&value)) {
    out.set_type(onnx::AttributeProto::FLOAT);
    out.set_f(*real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    out.set_type(onnx::AttributeProto::STRING);
    out.set_s(*text);
  } else if (const auto* numbers = std::get_if<std::vector<int64_t>>(&value)) {
    out.set_type(onnx::AttributeProto::INTS);
    for (const int64_t one : *numbers) out.add_ints(one);
  } else {
    out.set_type(onnx::AttributeProto::TENSOR);
    SetTensor(*out.mutable_t(), std::get<torch::Tensor>(value));
  }
}

}  // namespace

int64_t ElementType(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return onnx::TensorProto::FLOAT;
    case torch::kFloat64:
      return onnx::TensorProto::DOUBLE;
    case torch::kInt64:
      return onnx::TensorProto::INT64;
    case torch::kUInt8:
      return onnx::TensorProto::UINT8;
    case torch::kBool:
      return onnx::TensorProto::BOOL;
    default:
      TORCH_CHECK(false, "no tensor of type ", type, " is written to ONNX");
  }
}

std::string Text(const Dim& dim) {
  if (!dim.Varies()) return absl::StrCat(dim.fixed);
  const std::string batch = dim.each == 1 ? kBatch : absl::StrCat(dim.each, "*", kBatch);
  return dim.fixed == 0 ? batch : absl::StrCat(batch, "+", dim.fixed);
}

OnnxGraph::OnnxGraph(const std::string& name) {
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name("orchard-train");
  model_.set_producer_version(core::kVersion);
  onnx::OperatorSetIdProto& operators = *model_.add_opset_import();
  operators.set_domain("");
  operators.set_version(kOpset);
  model_.mutable_graph()->set_name(name);
}

std::string OnnxGraph::Unique(std::string_view wanted) {
  std::string name(wanted);
  while (!names_.insert(name).second) {
    int64_t& number = last_[std::string(wanted)];
    number = number == 0 ? 2 : number + 1;
    name = absl::StrCat(std::string(wanted), "_", number);
  }
  return name;
}

std::string OnnxGraph::AddInput(const std::string& name, torch::ScalarType type,
                                const Shape& shape) {
  onnx::ValueInfoProto& input = *model_.mutable_graph()->add_input();
  input.set_name(Unique(name));
  described_.insert(input.name());
  SetType(input, type, shape);
  return input.name();
}

void OnnxGraph::AddOutput(const std::string& name, const std::string& from, torch::ScalarType type,
                          const Shape& shape) {
  onnx::NodeProto& node = *model_.mutable_graph()->add_node();
  node.set_op_type("Identity");
  node.set_name(Unique(name));
  node.add_input(from);
  node.add_output(node.name());
  onnx::ValueInfoProto& output = *model_.mutable_graph()->add_output();
  output.set_name(node.name());
  SetType(output, type, shape);
}

std::string OnnxGraph::AddInitialiser(std::string_view wanted, const torch::Tensor& tensor) {
  onnx::TensorProto& initialiser = *model_.mutable_graph()->add_initializer();
  SetTensor(initialiser, tensor);
  initialiser.set_name(Unique(wanted));
  return initialiser.name();
}

std::vector<std::string> OnnxGraph::AddNode(const std::string& op,
                                            const std::vector<std::string>& inputs,
                                            const Attributes& attributes, std::string_view layer,
                                            size_t outputs) {
  onnx::NodeProto& node = *model_.mutable_graph()->add_node();
  node.set_op_type(op);
  node.set_name(Unique(layer.empty() ? op : absl::StrCat(std::string(layer), "/", op)));
  for (const std::string& input : inputs) node.add_input(input);
  for (const auto& [name, value] : attributes) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    SetAttribute(attribute, value);
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < outputs; ++i) {
    names.push_back(i == 0 ? node.name() : Unique(absl::StrCat(node.name(), ".", i)));
    node.add_output(names.back());
  }
  return names;
}

void OnnxGraph::Describe(const std::string& value, torch::ScalarType type, const Shape& shape) {
  if (!described_.insert(value).second) return;
  onnx::ValueInfoProto& info = *model_.mutable_graph()->add_value_info();
  info.set_name(value);
  SetType(info, type, shape);
}

absl::StatusOr<onnx::ModelProto> OnnxGraph::Finish(
    const std::map<std::string, std::string>& facts) {
  for (const auto& [key, value] : facts) {
    onnx::StringStringEntryProto& entry = *model_.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  try {
    onnx::checker::check_model(model_);
    // Its types and shapes as well, against those that Describe has said.
    onnx::ModelProto inferred = model_;
    onnx::shape_inference::InferShapes(
        inferred, onnx::OpSchemaRegistry::Instance(),
        {/*check_type=*/true, /*strict_mode=*/1, /*data_prop=*/false});
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat(model_.graph().name(), ": ONNX's checker: ", error.what()));
  }
  return std::move(model_);
}

}  // namespace orchard::training
