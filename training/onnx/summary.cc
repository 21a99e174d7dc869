#include "training/onnx/summary.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <onnx/shape_inference/implementation.h>

namespace orchard::training {
namespace {

/// A value's shape: as it is written, and the sizes with one picture (absent: not known).
struct Known {
  std::vector<std::string> text;
  std::vector<std::optional<int64_t>> sizes;

  std::optional<int64_t> Elements(size_t from = 0) const {
    int64_t product = 1;
    for (size_t i = from; i < sizes.size(); ++i) {
      if (!sizes[i]) return std::nullopt;
      product *= *sizes[i];
    }
    return product;
  }
  std::optional<int64_t> At(size_t i) const { return i < sizes.size() ? sizes[i] : std::nullopt; }
};

/// "65*batch" is 65 with one picture; another name stands for a batch, 1.
int64_t WithOnePicture(const std::string& parameter) {
  int64_t factor = 1;
  const std::vector<std::string> parts = absl::StrSplit(parameter, '*');
  return parts.size() == 2 && absl::SimpleAtoi(parts[0], &factor) ? factor : 1;
}

Known ShapeOf(const onnx::ValueInfoProto& value) {
  Known known;
  for (const auto& dim : value.type().tensor_type().shape().dim()) {
    if (dim.has_dim_value()) {
      known.text.push_back(absl::StrCat(dim.dim_value()));
      known.sizes.emplace_back(dim.dim_value());
    } else if (!dim.dim_param().empty()) {
      known.text.push_back(dim.dim_param());
      known.sizes.emplace_back(WithOnePicture(dim.dim_param()));
    } else {
      known.text.emplace_back("?");
      known.sizes.emplace_back();
    }
  }
  return known;
}

struct Row {
  std::string layer, op, shape;
  int64_t parameters = 0;
  int64_t multiply_adds = 0;
};

/// Looks up what a graph says of its values.
class Reader {
 public:
  explicit Reader(const onnx::GraphProto& graph) {
    for (const auto* values : {&graph.input(), &graph.output(), &graph.value_info()}) {
      for (const onnx::ValueInfoProto& value : *values) shapes_[value.name()] = ShapeOf(value);
    }
    for (const onnx::TensorProto& tensor : graph.initializer()) {
      Known& shape = shapes_[tensor.name()];
      shape = {};
      for (const int64_t size : tensor.dims()) {
        shape.text.push_back(absl::StrCat(size));
        shape.sizes.emplace_back(size);
      }
      // Numbers of a formula are called "constant" in what we write.
      if (tensor.data_type() == onnx::TensorProto::FLOAT && tensor.dims_size() > 0 &&
          !absl::StartsWith(tensor.name(), "constant")) {
        weights_.insert(tensor.name());
      }
    }
  }

  Row Read(const onnx::NodeProto& node) {
    return {.layer = node.name().empty() ? node.output(0) : node.name(),
            .op = node.op_type(),
            .shape = absl::StrJoin(shapes_[node.output(0)].text, " x "),
            .parameters = Parameters(node),
            .multiply_adds = MultiplyAdds(node)};
  }

 private:
  /// Of weights that no step before this one has used.
  int64_t Parameters(const onnx::NodeProto& node) {
    int64_t sum = 0;
    for (int i = 0; i < node.input_size(); ++i) {
      if (node.op_type() == "BatchNormalization" && i >= 3) break;  // Its statistics.
      if (weights_.erase(node.input(i)) > 0) sum += shapes_[node.input(i)].Elements().value_or(0);
    }
    return sum;
  }

  int64_t MultiplyAdds(const onnx::NodeProto& node) {
    std::optional<int64_t> each;  // of one number of the output
    if (node.op_type() == "Conv") {
      each = shapes_[node.input(1)].Elements(/*from=*/1);
    } else if (node.op_type() == "Gemm" || node.op_type() == "MatMul") {
      const Known& left = shapes_[node.input(0)];
      bool transposed = false;
      for (const onnx::AttributeProto& attribute : node.attribute()) {
        transposed = transposed || (attribute.name() == "transA" && attribute.i() != 0);
      }
      if (!left.sizes.empty()) each = left.At(transposed ? 0 : left.sizes.size() - 1);
    }
    const std::optional<int64_t> elements = shapes_[node.output(0)].Elements();
    return each && elements ? *each * *elements : 0;
  }

  std::map<std::string, Known> shapes_;
  std::set<std::string> weights_;
};

std::string Table(const std::vector<Row>& rows) {
  size_t layer = 5, op = 8, shape = 6;  // widths of their headings
  for (const Row& row : rows) {
    layer = std::max(layer, row.layer.size());
    op = std::max(op, row.op.size());
    shape = std::max(shape, row.shape.size());
  }
  const auto line = [&](std::string_view a, std::string_view b, std::string_view c,
                        std::string_view d, std::string_view e) {
    return absl::StrFormat("%-*s  %-*s  %-*s  %12s  %14s\n", static_cast<int>(layer), a,
                           static_cast<int>(op), b, static_cast<int>(shape), c, d, e);
  };
  std::string text = line("layer", "operator", "output", "parameters", "multiply-adds");
  for (const Row& row : rows) {
    text += line(row.layer, row.op, row.shape, absl::StrCat(row.parameters),
                 absl::StrCat(row.multiply_adds));
  }
  return text;
}

std::string Describe(const char* what,
                     const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& values) {
  std::vector<std::string> each;
  for (const onnx::ValueInfoProto& value : values) {
    each.push_back(absl::StrCat(value.name(), " [", absl::StrJoin(ShapeOf(value).text, ", "), "]"));
  }
  return absl::StrCat(what, " ", absl::StrJoin(each, ", "));
}

}  // namespace

absl::StatusOr<std::string> SummaryText(onnx::ModelProto model, bool all) {
  if (model.graph().value_info().empty()) {
    try {
      onnx::shape_inference::InferShapes(model);
    } catch (const std::exception& error) {
      return absl::InvalidArgumentError(
          absl::StrCat("ONNX can't infer its shapes: ", error.what()));
    }
  }
  const onnx::GraphProto& graph = model.graph();
  Reader reader(graph);
  std::vector<Row> shown;
  int64_t parameters = 0;
  int64_t multiply_adds = 0;
  for (const onnx::NodeProto& node : graph.node()) {
    if (node.output_size() == 0) continue;
    Row row = reader.Read(node);
    parameters += row.parameters;
    multiply_adds += row.multiply_adds;
    if (all || row.parameters > 0 || row.multiply_adds > 0) shown.push_back(std::move(row));
  }
  return absl::StrCat(
      graph.name(), ": ", Describe("from", graph.input()), Describe(" to", graph.output()), "\n",
      Table(shown),
      absl::StrFormat("%d steps, %d shown; %d parameters, %d multiply-adds a picture\n",
                      graph.node_size(), shown.size(), parameters, multiply_adds));
}

}  // namespace orchard::training
