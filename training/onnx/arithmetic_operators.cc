#include <optional>

#include <torch/torch.h>

#include "training/onnx/operators.h"

namespace orchard::training {
namespace {

int64_t Rank(const Step& step) { return static_cast<int64_t>(step.ShapeOf(0).size()); }

/// One node of one input.
template <const char* kOp>
void Unary(const Step& step) {
  step.Give(step.Add(kOp, {step.In(0)}));
}
constexpr char kSqrt[] = "Sqrt";
constexpr char kExp[] = "Exp";
constexpr char kLog[] = "Log";
constexpr char kErf[] = "Erf";
constexpr char kNeg[] = "Neg";

void Rsqrt(const Step& step) {
  step.Give(step.Add("Reciprocal", {step.Add("Sqrt", {step.In(0)})}));
}

/// Both operands in the result's type: LibTorch mixes numbers and tensors, ONNX doesn't.
void Binary(const Step& step, const std::string& op, size_t left = 0, size_t right = 1) {
  const torch::ScalarType type = step.OutputType();
  step.Give(step.Add(op, {step.In(left, type), step.In(right, type)}));
}
void Multiply(const Step& step) { Binary(step, "Mul"); }
void Divide(const Step& step) {
  TORCH_CHECK(step.inputs() < 3 || step.IsNone(2), "a division that rounds is not translated");
  Binary(step, "Div");
}

/// left ± alpha · right; `alpha` is input 2.
void Sum(const Step& step, const std::string& op, size_t left, size_t right) {
  TORCH_CHECK(step.Number(2) == 1.0, step.kind(), " with a factor is not translated");
  Binary(step, op, left, right);
}
void Add(const Step& step) { Sum(step, "Add", 0, 1); }
void Subtract(const Step& step) { Sum(step, "Sub", 0, 1); }
void SubtractFrom(const Step& step) { Sum(step, "Sub", 1, 0); }

void Square(const Step& step) { step.Give(step.Add("Mul", {step.In(0), step.In(0)})); }

void Clip(const Step& step, std::optional<double> least, std::optional<double> most) {
  const torch::ScalarType type = step.TypeOf(0);
  std::vector<std::string> inputs{step.In(0), least ? step.Scalar(*least, type) : ""};
  if (most) inputs.push_back(step.Scalar(*most, type));
  step.Give(step.Add("Clip", inputs));
}
void Relu6(const Step& step) { Clip(step, 0.0, 6.0); }
void ClampMin(const Step& step) { Clip(step, step.Number(1), std::nullopt); }
void Clamp(const Step& step) {
  const auto limit = [&step](size_t i) {
    return step.IsNone(i) ? std::nullopt : std::optional(step.Number(i));
  };
  Clip(step, limit(1), limit(2));
}

/// Over the axes of input 1, or over all where there is none. Input 2: whether they stay as 1.
void Reduce(const Step& step, const std::string& op) {
  Attributes attributes{{"keepdims", int64_t{0}}};
  if (step.inputs() > 2) {
    attributes["keepdims"] = int64_t{step.Bool(2)};
    attributes["axes"] = step.Axes(1, step.ShapeOf(0).size());
  }
  step.Give(step.Add(op, {step.In(0, step.OutputType())}, attributes));
}
void Mean(const Step& step) { Reduce(step, "ReduceMean"); }
void Largest(const Step& step) { Reduce(step, "ReduceMax"); }

/// ReduceSum takes its axes as an input since opset 13, the others not before 18.
std::string SumOver(const Step& step, const std::string& value, const std::vector<int64_t>& axes,
                    bool keep) {
  return step.Add("ReduceSum", {value, step.Vector(axes)}, {{"keepdims", int64_t{keep}}});
}

void SumUp(const Step& step) {
  TORCH_CHECK(step.inputs() == 4, "a sum over everything is not translated");
  step.Give(SumOver(step, step.In(0, step.OutputType()), step.Axes(1, step.ShapeOf(0).size()),
                    step.Bool(2)));
}

/// (x, p, axes, keep)
void Norm(const Step& step) {
  TORCH_CHECK(step.inputs() >= 4 && step.Number(1) == 2.0, "only Euclidean norms are translated");
  step.Give(step.Add(
      "ReduceL2", {step.In(0)},
      {{"axes", step.Axes(2, step.ShapeOf(0).size())}, {"keepdims", int64_t{step.Bool(3)}}}));
}

void Softmax(const Step& step) {
  const bool log = step.kind() == "aten::log_softmax";
  step.Give(step.Add(log ? "LogSoftmax" : "Softmax", {step.In(0, step.OutputType())},
                     {{"axis", step.Axis(1, step.ShapeOf(0).size())}}));
}

/// Of x less its largest value: no exponential is beyond what a float holds.
void LogSumExp(const Step& step) {
  const std::string x = step.In(0);
  const std::vector<int64_t> axes = step.Axes(1, step.ShapeOf(0).size());
  const std::string most = step.Add("ReduceMax", {x}, {{"axes", axes}, {"keepdims", int64_t{1}}});
  const std::string sum =
      SumOver(step, step.Add("Exp", {step.Add("Sub", {x, most})}), axes, /*keep=*/true);
  const std::string result = step.Add("Add", {step.Add("Log", {sum}), most});
  step.Give(step.Bool(2) ? result : step.Add("Squeeze", {result, step.Vector(axes)}));
}

/// All of an axis in order; ONNX's TopK gives ties to the lower index, as a stable sort does.
void Sort(const Step& step) {
  const size_t first = step.inputs() == 4 ? 2 : 1;  // Behind `stable`, where that is said.
  const int64_t axis = step.Axis(first, step.ShapeOf(0).size());
  const Dim dim = step.ShapeOf(0).at(static_cast<size_t>(axis));
  TORCH_CHECK(!dim.Varies(), "an order among all pictures of a batch is not translated");
  const auto sorted = step.AddMany("TopK", {step.In(0), step.Vector({dim.fixed})},
                                   {{"axis", axis}, {"largest", int64_t{step.Bool(first + 1)}}}, 2);
  step.Give(sorted[0], 0);
  step.Give(sorted[1], 1);
}

void GatherAlong(const Step& step) {
  step.Give(step.Add("GatherElements", {step.In(0), step.In(2)},
                     {{"axis", step.Axis(1, step.ShapeOf(0).size())}}));
}

void ScatterAdd(const Step& step) {
  step.Give(step.Add("ScatterElements", {step.In(0), step.In(2), step.In(3)},
                     {{"axis", step.Axis(1, step.ShapeOf(0).size())}, {"reduction", "add"}}));
}

/// One number at the places of input 2.
void ScatterValue(const Step& step) {
  const torch::Tensor one = torch::full({1}, step.Number(3), step.TypeOf(0));
  const std::string values =
      step.Add("ConstantOfShape", {step.ShapeValue(step.ShapeOf(2))}, {{"value", one}});
  step.Give(step.Add("ScatterElements", {step.In(0), step.In(2), values},
                     {{"axis", step.Axis(1, step.ShapeOf(0).size())}}));
}

void Where(const Step& step) {
  const torch::ScalarType type = step.OutputType();
  step.Give(step.Add("Where", {step.In(0), step.In(1, type), step.In(2, type)}));
}

/// The diagonals of the last two dimensions, as their product with a unit matrix, summed.
void Diagonal(const Step& step) {
  const int64_t rank = Rank(step);
  const Dim size = step.ShapeOf(0).back();
  TORCH_CHECK(step.Int(1) == 0 && step.Axis(2, step.ShapeOf(0).size()) == rank - 2 &&
                  step.Axis(3, step.ShapeOf(0).size()) == rank - 1 && !size.Varies(),
              "only the main diagonal of the last two dimensions is translated");
  const std::string unit = step.Own(torch::eye(size.fixed, step.TypeOf(0)), 0);
  step.Give(SumOver(step, step.Add("Mul", {step.In(0), unit}), {rank - 1}, /*keep=*/false));
}

}  // namespace

Operators ArithmeticOperators() {
  return {{"aten::sqrt", Unary<kSqrt>},
          {"aten::exp", Unary<kExp>},
          {"aten::log", Unary<kLog>},
          {"aten::erf", Unary<kErf>},
          {"aten::neg", Unary<kNeg>},
          {"aten::rsqrt", Rsqrt},
          {"aten::square", Square},
          {"aten::mul", Multiply},
          {"aten::div", Divide},
          {"aten::add", Add},
          {"aten::sub", Subtract},
          {"aten::rsub", SubtractFrom},
          {"aten::relu6", Relu6},
          {"aten::clamp_min", ClampMin},
          {"aten::clamp", Clamp},
          {"aten::hardtanh", Clamp},
          {"aten::mean", Mean},
          {"aten::amax", Largest},
          {"aten::sum", SumUp},
          {"aten::norm", Norm},
          {"aten::softmax", Softmax},
          {"aten::log_softmax", Softmax},
          {"aten::logsumexp", LogSumExp},
          {"aten::sort", Sort},
          {"aten::gather", GatherAlong},
          {"aten::scatter_add", ScatterAdd},
          {"aten::scatter", ScatterValue},
          {"aten::where", Where},
          {"aten::diagonal", Diagonal}};
}

}  // namespace orchard::training
