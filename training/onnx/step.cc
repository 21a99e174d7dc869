#include <torch/torch.h>

#include "training/onnx/translation.h"

namespace orchard::training {
namespace {

namespace jit = torch::jit;

std::vector<int64_t> SizesOf(const jit::Value* value) {
  const auto type = value->type()->cast<c10::TensorType>();
  TORCH_CHECK(type && type->sizes().concrete_sizes().has_value(),
              "a recorded tensor has no shape: ", value->debugName());
  return *type->sizes().concrete_sizes();
}

/// From the sizes with two and with three pictures.
Shape ShapeFrom(const jit::Value* two, const jit::Value* three) {
  const std::vector<int64_t> a = SizesOf(two);
  const std::vector<int64_t> b = SizesOf(three);
  TORCH_CHECK(a.size() == b.size(), "the rank of a tensor depends on the number of pictures");
  Shape shape;
  for (size_t i = 0; i < a.size(); ++i) {
    const int64_t each = b[i] - a[i];
    shape.push_back({.each = each, .fixed = a[i] - 2 * each});
  }
  return shape;
}

torch::ScalarType TypeFrom(const jit::Value* value) {
  const auto type = value->type()->cast<c10::TensorType>();
  TORCH_CHECK(type && type->scalarType().has_value(),
              "a recorded tensor has no type: ", value->debugName());
  return *type->scalarType();
}

int64_t FromTheFront(int64_t axis, size_t rank) {
  return axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
}

}  // namespace

Step::Step(Translation& translation, const jit::Node* two, const jit::Node* three)
    : translation_(translation), two_(two), three_(three) {}

const Traced& Step::At(size_t i) const { return translation_.ValueOf(two_->inputs().at(i)); }

const c10::IValue& Step::ConstantAt(size_t i) const {
  const Traced& traced = At(i);
  TORCH_CHECK(traced.is_constant, kind(), ": input ", i, " depends on the picture");
  TORCH_CHECK(!traced.varies, kind(), ": input ", i, " depends on the number of pictures");
  return traced.constant;
}

bool Step::IsNone(size_t i) const {
  const Traced& traced = At(i);
  return traced.is_constant && traced.constant.isNone();
}

int64_t Step::Int(size_t i) const { return ConstantAt(i).toInt(); }
double Step::Number(size_t i) const {
  const c10::IValue& value = ConstantAt(i);
  return value.isTensor() ? value.toTensor().item<double>() : value.toScalar().to<double>();
}
bool Step::Bool(size_t i) const { return ConstantAt(i).toBool(); }
std::string Step::String(size_t i) const { return ConstantAt(i).toStringRef(); }
torch::Tensor Step::Constant(size_t i) const { return ConstantAt(i).toTensor(); }

std::vector<int64_t> Step::Ints(size_t i) const {
  const c10::IValue& value = ConstantAt(i);
  if (value.isInt()) return {value.toInt()};
  return value.toIntVector();
}

Shape Step::ShapeOf(size_t i) const {
  return ShapeFrom(two_->inputs().at(i), three_->inputs().at(i));
}
Shape Step::OutputShape(size_t output) const {
  return ShapeFrom(two_->outputs().at(output), three_->outputs().at(output));
}
torch::ScalarType Step::TypeOf(size_t i) const { return TypeFrom(two_->inputs().at(i)); }
torch::ScalarType Step::OutputType(size_t output) const {
  return TypeFrom(two_->outputs().at(output));
}

int64_t Step::Axis(size_t i, size_t rank) const { return FromTheFront(Int(i), rank); }

std::vector<int64_t> Step::Axes(size_t i, size_t rank) const {
  std::vector<int64_t> axes = Ints(i);
  for (int64_t& axis : axes) axis = FromTheFront(axis, rank);
  return axes;
}

std::string Step::In(size_t i) const { return In(i, TypeOf(i)); }

std::string Step::In(size_t i, torch::ScalarType type) const {
  const Traced& traced = At(i);
  if (traced.name.empty() || TypeOf(i) == type) return translation_.Value(traced, type);
  return Add("Cast", {traced.name}, {{"to", ElementType(type)}});
}

std::vector<std::string> Step::InList(size_t i) const {
  const std::vector<Traced> elements = At(i).elements;
  std::vector<std::string> names;
  for (const Traced& element : elements) names.push_back(translation_.Value(element, OutputType()));
  return names;
}

std::string Step::Own(const torch::Tensor& tensor, size_t like) const {
  return translation_.Value({.is_constant = true, .constant = tensor, .label = At(like).label},
                            tensor.scalar_type());
}

std::string Step::Scalar(double value, torch::ScalarType type) const {
  return translation_.Value({.is_constant = true, .constant = value}, type);
}

std::string Step::Vector(const std::vector<int64_t>& values) const {
  return translation_.Vector(values);
}

std::string Step::ShapeValue(const Shape& shape) const {
  std::vector<int64_t> fixed;
  bool varies = false;
  for (const Dim& dim : shape) {
    varies = varies || dim.Varies();
    fixed.push_back(dim.fixed);
  }
  if (!varies) return Vector(fixed);
  std::vector<std::string> sizes;
  for (const Dim& dim : shape) sizes.push_back(translation_.Size(dim));
  return sizes.size() == 1 ? sizes[0] : Add("Concat", sizes, {{"axis", int64_t{0}}});
}

std::string Step::Add(const std::string& op, const std::vector<std::string>& inputs,
                      const Attributes& attributes) const {
  return AddMany(op, inputs, attributes, 1)[0];
}

std::vector<std::string> Step::AddMany(const std::string& op,
                                       const std::vector<std::string>& inputs,
                                       const Attributes& attributes, size_t outputs) const {
  return translation_.graph_.AddNode(op, inputs, attributes, translation_.layer_, outputs);
}

void Step::Give(const std::string& value, size_t output) const {
  translation_.values_[two_->outputs().at(output)] = {.name = value};
  translation_.graph_.Describe(value, OutputType(output), OutputShape(output));
}

void Step::GiveList(const std::vector<std::string>& values) const {
  Traced list;
  for (const std::string& value : values) list.elements.push_back({.name = value});
  translation_.values_[two_->output()] = std::move(list);
}

}  // namespace orchard::training
