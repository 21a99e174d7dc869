#include <algorithm>
#include <limits>

#include <torch/torch.h>

#include "training/onnx/operators.h"

namespace orchard::training {
namespace {

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();  // of a cut: as far as there is

void Same(const Step& step) { step.Give(step.In(0)); }

/// Any of the views that keep the order of elements: the shape that they had is all there is to it.
void Reshape(const Step& step) {
  const Shape shape = step.OutputShape();
  const auto varying = std::ranges::count_if(shape, &Dim::Varies);
  if (shape == step.ShapeOf(0)) return Same(step);
  if (varying > 1) return step.Give(step.Add("Reshape", {step.In(0), step.ShapeValue(shape)}));
  std::vector<int64_t> sizes;
  for (const Dim& dim : shape) sizes.push_back(dim.Varies() ? -1 : dim.fixed);
  step.Give(step.Add("Reshape", {step.In(0), step.Vector(sizes)}));
}

void Transpose(const Step& step) {
  const size_t rank = step.ShapeOf(0).size();
  std::vector<int64_t> order(rank);
  for (size_t i = 0; i < rank; ++i) order[i] = static_cast<int64_t>(i);
  if (step.kind() == "aten::permute") {
    order = step.Axes(1, rank);
  } else {
    const bool matrix = step.kind() == "aten::t";
    const auto one = static_cast<size_t>(matrix ? 0 : step.Axis(1, rank));
    const auto other = static_cast<size_t>(matrix ? 1 : step.Axis(2, rank));
    std::swap(order[one], order[other]);
  }
  step.Give(step.Add("Transpose", {step.In(0)}, {{"perm", order}}));
}

std::string Cut(const Step& step, int64_t axis, int64_t from, int64_t to, int64_t stride = 1) {
  return step.Add("Slice", {step.In(0), step.Vector({from}), step.Vector({to}), step.Vector({axis}),
                            step.Vector({stride})});
}

void Slice(const Step& step) {
  const int64_t from = step.IsNone(2) ? 0 : step.Int(2);
  const int64_t to = step.IsNone(3) ? kEnd : step.Int(3);
  step.Give(Cut(step, step.Axis(1, step.ShapeOf(0).size()), from, to, step.Int(4)));
}

void Narrow(const Step& step) {
  const int64_t from = step.Int(2);
  step.Give(Cut(step, step.Axis(1, step.ShapeOf(0).size()), from, from + step.Int(3)));
}

void Select(const Step& step) {
  const int64_t axis = step.Axis(1, step.ShapeOf(0).size());
  step.Give(step.Add("Gather",
                     {step.In(0), step.Scalar(static_cast<double>(step.Int(2)), torch::kInt64)},
                     {{"axis", axis}}));
}

void IndexSelect(const Step& step) {
  step.Give(step.Add("Gather", {step.In(0), step.In(2)},
                     {{"axis", step.Axis(1, step.ShapeOf(0).size())}}));
}

/// Pieces of equal size, the last one of what is left.
void Chunk(const Step& step) {
  const size_t axis = static_cast<size_t>(step.Axis(2, step.ShapeOf(0).size()));
  const Dim dim = step.ShapeOf(0).at(axis);
  TORCH_CHECK(!dim.Varies(), step.kind(), " along a dimension that depends on the batch");
  const int64_t given = step.Int(1);
  const int64_t size = step.kind() == "aten::chunk" ? (dim.fixed + given - 1) / given : given;
  std::vector<std::string> pieces;
  for (int64_t from = 0; from < dim.fixed; from += size) {
    pieces.push_back(Cut(step, static_cast<int64_t>(axis), from, std::min(from + size, dim.fixed)));
  }
  step.GiveList(pieces);
}

void Concatenate(const Step& step) {
  step.Give(
      step.Add("Concat", step.InList(0), {{"axis", step.Axis(1, step.OutputShape().size())}}));
}

void Stack(const Step& step) {
  const int64_t axis = step.Axis(1, step.OutputShape().size());
  std::vector<std::string> parts;
  for (const std::string& part : step.InList(0)) {
    parts.push_back(step.Add("Unsqueeze", {part, step.Vector({axis})}));
  }
  step.Give(step.Add("Concat", parts, {{"axis", axis}}));
}

/// A size of 1 in ONNX's Expand leaves a dimension as it is.
void Expand(const Step& step) {
  const Shape from = step.ShapeOf(0);
  Shape to = step.OutputShape();
  const size_t front = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (to[front + i] == from[i]) to[front + i] = {.fixed = 1};
  }
  step.Give(step.Add("Expand", {step.In(0), step.ShapeValue(to)}));
}

void Pad(const Step& step) {
  const std::vector<int64_t> given = step.Ints(1);  // From the last dimension: before, after, …
  const size_t rank = step.ShapeOf(0).size();
  std::vector<int64_t> pads(2 * rank, 0);  // All before, then all after.
  for (size_t i = 0; 2 * i + 1 < given.size(); ++i) {
    pads[rank - 1 - i] = given[2 * i];
    pads[2 * rank - 1 - i] = given[2 * i + 1];
  }
  const double value = step.IsNone(2) ? 0.0 : step.Number(2);
  step.Give(step.Add("Pad", {step.In(0), step.Vector(pads), step.Scalar(value, step.TypeOf(0))},
                     {{"mode", "constant"}}));
}

/// A tensor of one number, as large as the output.
void Fill(const Step& step, double value) {
  const torch::Tensor one = torch::full({1}, value, step.OutputType());
  step.Give(step.Add("ConstantOfShape", {step.ShapeValue(step.OutputShape())}, {{"value", one}}));
}
void Zeros(const Step& step) { Fill(step, 0.0); }
void Ones(const Step& step) { Fill(step, 1.0); }
void Full(const Step& step) { Fill(step, step.Number(1)); }

void Convert(const Step& step) { step.Give(step.In(0, step.OutputType())); }

}  // namespace

Operators ShapeOperators() {
  return {{"aten::view", Reshape},         {"aten::view_as", Reshape},
          {"aten::reshape", Reshape},      {"aten::reshape_as", Reshape},
          {"aten::_unsafe_view", Reshape}, {"aten::_reshape_alias", Reshape},
          {"aten::flatten", Reshape},      {"aten::squeeze", Reshape},
          {"aten::unsqueeze", Reshape},    {"aten::permute", Transpose},
          {"aten::transpose", Transpose},  {"aten::t", Transpose},
          {"aten::slice", Slice},          {"aten::narrow", Narrow},
          {"aten::select", Select},        {"aten::index_select", IndexSelect},
          {"aten::chunk", Chunk},          {"aten::split", Chunk},
          {"aten::cat", Concatenate},      {"aten::stack", Stack},
          {"aten::expand", Expand},        {"aten::expand_as", Expand},
          {"aten::constant_pad_nd", Pad},  {"aten::zeros", Zeros},
          {"aten::zeros_like", Zeros},     {"aten::full", Full},
          {"aten::ones_like", Ones},       {"aten::full_like", Full},
          {"aten::to", Convert},           {"aten::contiguous", Same},
          {"aten::detach", Same},          {"aten::alias", Same},
          {"aten::clone", Same},           {"aten::dropout", Same}};
}

}  // namespace orchard::training
