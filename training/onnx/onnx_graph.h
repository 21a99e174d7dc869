#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include <onnx/onnx_pb.h>
#include <torch/types.h>

/// \file
/// An ONNX model as it is written: nodes, initialisers, names. Knows nothing of networks.

namespace orchard::training {

inline constexpr int64_t kOpset = 17;
inline constexpr const char* kBatch = "batch";  ///< what a model calls its number of pictures

/// One dimension of a shape: `each` a picture, and `fixed` whatever the batch.
struct Dim {
  int64_t each = 0;
  int64_t fixed = 0;

  bool Varies() const { return each != 0; }
  friend bool operator==(const Dim&, const Dim&) = default;
};
using Shape = std::vector<Dim>;

/// "batch", "65*batch", "192".
std::string Text(const Dim& dim);

/// ONNX's number of a type. Errors: c10::Error for a type that we don't write.
int64_t ElementType(torch::ScalarType type);

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, torch::Tensor>;
using Attributes = std::map<std::string, Attribute>;

/// Nodes come in the order in which they are added, each after what it reads. Names are unique:
/// "relu", "relu_2", ….
class OnnxGraph {
 public:
  explicit OnnxGraph(const std::string& name);

  /// Declares what the caller gives; returns its name.
  std::string AddInput(const std::string& name, torch::ScalarType type, const Shape& shape);

  /// Lets the value `from` leave the graph as `name`.
  void AddOutput(const std::string& name, const std::string& from, torch::ScalarType type,
                 const Shape& shape);

  /// A constant; returns its name, which begins with `wanted`.
  std::string AddInitialiser(std::string_view wanted, const torch::Tensor& tensor);

  /// A node of ONNX's own operators in `layer`; returns the names of its outputs.
  std::vector<std::string> AddNode(const std::string& op, const std::vector<std::string>& inputs,
                                   const Attributes& attributes = {}, std::string_view layer = "",
                                   size_t outputs = 1);

  /// Says what a value is, for whoever looks at the file; runtimes find it out.
  void Describe(const std::string& value, torch::ScalarType type, const Shape& shape);

  /// The model, held to ONNX's own checker. `facts` are its metadata. Errors: INTERNAL with the
  /// checker's message.
  absl::StatusOr<onnx::ModelProto> Finish(const std::map<std::string, std::string>& facts);

 private:
  std::string Unique(std::string_view wanted);

  onnx::ModelProto model_;
  std::set<std::string> names_;
  std::map<std::string, int64_t> last_;  // the last number behind a name
  std::set<std::string> described_;
};

}  // namespace orchard::training
