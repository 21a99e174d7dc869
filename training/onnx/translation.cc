#include "training/onnx/translation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include <torch/csrc/jit/ir/constants.h>
#include <torch/torch.h>

#include "training/onnx/operators.h"

namespace orchard::training {
namespace {

namespace jit = torch::jit;

/// The innermost module that two names of tensors have in common.
std::string CommonModule(const std::string& a, const std::string& b) {
  size_t end = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()) && a[i] == b[i]; ++i) {
    if (a[i] == '.') end = i;
  }
  return a.substr(0, end);
}

/// What a constant made of labelled ones is called: "…weight" of one, "….all" of several.
std::string JoinLabels(const std::vector<std::string>& labels) {
  if (labels.empty()) return "";
  std::string joined = labels.front();
  bool several = false;
  for (const std::string& label : labels) {
    if (label == joined) continue;
    joined = CommonModule(several ? absl::StrCat(joined, ".") : joined, label);
    several = true;
  }
  return several && !joined.empty() ? absl::StrCat(joined, ".all") : several ? "" : joined;
}

void AddLabels(const Traced& traced, std::vector<std::string>& labels) {
  if (!traced.label.empty()) labels.push_back(traced.label);
  for (const Traced& element : traced.elements) AddLabels(element, labels);
}

std::string ModuleOf(const std::string& label) {
  const size_t dot = label.rfind('.');
  return dot == std::string::npos ? label : label.substr(0, dot);
}

bool Differ(const c10::IValue& two, const c10::IValue& three) {
  if (two.isInt() && three.isInt()) return two.toInt() != three.toInt();
  if (two.isDouble() && three.isDouble()) return two.toDouble() != three.toDouble();
  if (two.isIntList() && three.isIntList()) return two.toIntVector() != three.toIntVector();
  if (two.isTensor() && three.isTensor()) {
    return two.toTensor().sizes() != three.toTensor().sizes();
  }
  return false;
}

}  // namespace

const Operators& KnownOperators() {
  static const auto& known = *[] {
    auto* const all = new Operators(LayerOperators());
    all->merge(ArithmeticOperators());
    all->merge(ShapeOperators());
    return all;
  }();
  return known;
}

Traced& Translation::ValueOf(const jit::Value* value) {
  const auto found = values_.find(value);
  TORCH_CHECK(found != values_.end(), "a recorded value comes from nowhere: ", value->debugName());
  return found->second;
}

void Translation::MakeConstant(const jit::Node* two, const jit::Node* three) {
  const c10::optional<c10::IValue> value = jit::toIValue(two->output());
  const c10::optional<c10::IValue> other = jit::toIValue(three->output());
  TORCH_CHECK(value && other, "a recorded constant has no value");
  Traced traced{.is_constant = true, .constant = *value, .varies = Differ(*value, *other)};
  if (value->isTensor() && value->toTensor().defined()) {
    const auto name = names_.find(value->toTensor().data_ptr());
    if (name != names_.end()) traced.label = name->second;
  }
  values_[two->output()] = std::move(traced);
}

void Translation::MakeList(const jit::Node* two) {
  Traced list;
  list.is_constant = two->kind() == c10::prim::ListConstruct;
  for (const jit::Value* input : two->inputs()) {
    list.elements.push_back(ValueOf(input));
    list.is_constant = list.is_constant && list.elements.back().is_constant;
    list.varies = list.varies || list.elements.back().varies;
  }
  if (list.is_constant) {
    c10::impl::GenericList values(
        two->output()->type()->expectRef<c10::ListType>().getElementType());
    for (const Traced& element : list.elements) values.push_back(element.constant);
    list.constant = values;
  }
  values_[two->output()] = std::move(list);
}

/// A step of constants alone is done here and now.
bool Translation::Fold(const jit::Node* two) {
  jit::Stack stack;
  std::vector<std::string> labels;
  for (const jit::Value* input : two->inputs()) {
    const Traced& traced = ValueOf(input);
    if (!traced.is_constant || traced.varies) return false;
    stack.push_back(traced.constant);
    AddLabels(traced, labels);
  }
  two->getOperation()(stack);
  TORCH_CHECK(stack.size() == two->outputs().size(), two->kind().toQualString(), " gave ",
              stack.size(), " results");
  for (size_t i = 0; i < stack.size(); ++i) {
    values_[two->outputs()[i]] = {
        .is_constant = true, .constant = stack[i], .label = JoinLabels(labels)};
  }
  return true;
}

bool Translation::TakeApart(const jit::Node* two) {
  if (two->kind() != c10::prim::ListUnpack) return false;
  const std::vector<Traced> elements = ValueOf(two->input()).elements;
  for (size_t i = 0; i < two->outputs().size(); ++i) {
    values_[two->outputs()[i]] = i < elements.size() ? elements[i] : Traced{.name = "unknown"};
  }
  return true;
}

void Translation::Walk(const jit::Node* two, const jit::Node* three) {
  if (two->kind() == c10::prim::Constant) return MakeConstant(two, three);
  if (two->kind() == c10::prim::ListConstruct || two->kind() == c10::prim::TupleConstruct) {
    return MakeList(two);
  }
  if (Fold(two) || TakeApart(two)) return;
  const std::string kind = two->kind().toQualString();
  const auto known = KnownOperators().find(kind);
  if (known == KnownOperators().end()) {
    if (std::ranges::find(unknown_, kind) == unknown_.end()) unknown_.push_back(kind);
    for (const jit::Value* output : two->outputs()) values_[output] = {.name = "unknown"};
    return;
  }
  for (const jit::Value* input : two->inputs()) {
    const std::string& label = ValueOf(input).label;
    if (label.empty()) continue;
    layer_ = ModuleOf(label);
    break;
  }
  known->second(Step(*this, two, three));
}

std::vector<Traced> Translation::Run(const jit::Graph& two, const jit::Graph& three,
                                     const std::string& input) {
  input_ = input;
  values_[two.inputs().at(0)] = {.name = input};
  auto other = three.nodes().begin();
  for (const jit::Node* node : two.nodes()) {
    TORCH_CHECK(
        other != three.nodes().end() && other->kind() == node->kind() &&
            other->inputs().size() == node->inputs().size(),
        "the network's steps depend on the number of pictures: ", node->kind().toQualString());
    Walk(node, *other);
    ++other;
  }
  TORCH_CHECK(other == three.nodes().end(), "the network's steps depend on the number of pictures");
  return ValueOf(two.outputs().at(0)).elements;
}

std::string Translation::Value(const Traced& traced, torch::ScalarType type) {
  if (!traced.name.empty()) return traced.name;
  TORCH_CHECK(traced.is_constant && !traced.varies, "a constant depends on the batch");
  if (!traced.constant.isTensor()) {
    const double number = traced.constant.toScalar().to<double>();
    std::string& name = scalars_[{number, type}];
    if (name.empty()) {
      name = graph_.AddInitialiser("constant", torch::scalar_tensor(number, type));
    }
    return name;
  }
  const torch::Tensor tensor = traced.constant.toTensor();
  std::string& name = initialisers_[{tensor.unsafeGetTensorImpl(), type}];
  if (name.empty()) {
    kept_.push_back(tensor);
    name = graph_.AddInitialiser(traced.label.empty() ? "constant" : traced.label, tensor.to(type));
  }
  return name;
}

std::string Translation::Vector(const std::vector<int64_t>& values) {
  std::string& name = vectors_[values];
  if (name.empty()) name = graph_.AddInitialiser("constant", torch::tensor(values, torch::kInt64));
  return name;
}

std::string Translation::Size(const Dim& dim) {
  if (!dim.Varies()) return Vector({dim.fixed});
  std::string& name = sizes_[{dim.each, dim.fixed}];
  if (!name.empty()) return name;
  if (dim == Dim{.each = 1}) {
    name = graph_.AddNode("Shape", {input_}, {{"start", int64_t{0}}, {"end", int64_t{1}}})[0];
  } else if (dim.fixed == 0) {
    name = graph_.AddNode("Mul", {Size({.each = 1}), Vector({dim.each})})[0];
  } else {
    name = graph_.AddNode("Add", {Size({.each = dim.each}), Vector({dim.fixed})})[0];
  }
  return name;
}

}  // namespace orchard::training
