#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/jit/ir/ir.h>

#include "training/onnx/onnx_graph.h"

/// \file
/// From what LibTorch records of a forward pass to ONNX, step by step. The network is recorded
/// twice, with two and with three pictures: what differs between both recordings is a multiple of
/// the batch, and everything else is fixed. One function a kind of step (operators.h) serves every
/// architecture; a step of which no function is known is an error that names it.
///
/// Faults of a recording are c10::Error here: nets::Guarded, around the whole, makes a Status.

namespace orchard::training {

/// What is known of a recorded value.
struct Traced {
  std::string name{};        ///< of the ONNX value; empty: a constant, or a list
  bool is_constant = false;  ///< then `constant` is its value
  c10::IValue constant{};
  bool varies = false;             ///< a number that depends on the batch: not the value to go by
  std::string label{};             ///< of a constant that came from a parameter: its name
  std::vector<Traced> elements{};  ///< of a list that is no constant
};

class Translation;

/// One recorded step, as the function that translates it sees it. Inputs count from 0.
class Step {
 public:
  Step(Translation& translation, const torch::jit::Node* two, const torch::jit::Node* three);

  std::string kind() const { return two_->kind().toQualString(); }
  size_t inputs() const { return two_->inputs().size(); }
  bool IsNone(size_t i) const;

  /// Constants. Errors: one that depends on the batch, or on the picture.
  int64_t Int(size_t i) const;
  double Number(size_t i) const;
  bool Bool(size_t i) const;
  std::string String(size_t i) const;
  std::vector<int64_t> Ints(size_t i) const;
  torch::Tensor Constant(size_t i) const;

  Shape ShapeOf(size_t i) const;
  Shape OutputShape(size_t output = 0) const;
  torch::ScalarType TypeOf(size_t i) const;
  torch::ScalarType OutputType(size_t output = 0) const;

  /// An axis of the input's or output's `rank` dimensions, counted from the front.
  int64_t Axis(size_t i, size_t rank) const;
  std::vector<int64_t> Axes(size_t i, size_t rank) const;

  /// ONNX values: of input `i`, as it is or as `type`; of its list; of a constant of our own, which
  /// is called after input `like` if that is a parameter; of numbers; of a shape as a tensor.
  std::string In(size_t i) const;
  std::string In(size_t i, torch::ScalarType type) const;
  std::vector<std::string> InList(size_t i) const;
  std::string Own(const torch::Tensor& tensor, size_t like) const;
  std::string Scalar(double value, torch::ScalarType type) const;
  std::string Vector(const std::vector<int64_t>& values) const;
  std::string ShapeValue(const Shape& shape) const;

  /// A node; returns its first output.
  std::string Add(const std::string& op, const std::vector<std::string>& inputs,
                  const Attributes& attributes = {}) const;
  std::vector<std::string> AddMany(const std::string& op, const std::vector<std::string>& inputs,
                                   const Attributes& attributes, size_t outputs) const;

  /// What the step gives.
  void Give(const std::string& value, size_t output = 0) const;
  void GiveList(const std::vector<std::string>& values) const;

 private:
  const Traced& At(size_t i) const;
  const c10::IValue& ConstantAt(size_t i) const;

  Translation& translation_;
  const torch::jit::Node* two_;
  const torch::jit::Node* three_;
};

/// Everything that a translation knows so far. Its recordings outlive it.
class Translation {
 public:
  /// `names`: of the tensors that are a parameter's or a norm's statistics, by where they lie.
  Translation(OnnxGraph& graph, std::map<const void*, std::string> names)
      : graph_(graph), names_(std::move(names)) {}

  /// Walks both recordings, whose first input is what `input` is called in the graph; returns the
  /// outputs. Unknown steps are put into unknown().
  std::vector<Traced> Run(const torch::jit::Graph& two, const torch::jit::Graph& three,
                          const std::string& input);

  /// Kinds of steps that nothing translates: what was returned means nothing then.
  const std::vector<std::string>& unknown() const { return unknown_; }

  /// The ONNX value of `traced`, as `type`.
  std::string Value(const Traced& traced, torch::ScalarType type);

 private:
  friend class Step;

  void Walk(const torch::jit::Node* two, const torch::jit::Node* three);
  bool Fold(const torch::jit::Node* two);
  bool TakeApart(const torch::jit::Node* two);
  void MakeConstant(const torch::jit::Node* two, const torch::jit::Node* three);
  void MakeList(const torch::jit::Node* two);
  Traced& ValueOf(const torch::jit::Value* value);
  std::string Size(const Dim& dim);
  std::string Vector(const std::vector<int64_t>& values);

  OnnxGraph& graph_;
  std::map<const void*, std::string> names_;
  std::map<const torch::jit::Value*, Traced> values_;
  std::map<std::pair<const void*, torch::ScalarType>, std::string> initialisers_;
  std::vector<torch::Tensor> kept_;  // The above: no other tensor can come to lie where they are.
  std::map<std::pair<double, torch::ScalarType>, std::string> scalars_;
  std::map<std::vector<int64_t>, std::string> vectors_;
  std::map<std::pair<int64_t, int64_t>, std::string> sizes_;  // of Dims that vary, as tensors [1]
  std::vector<std::string> unknown_;
  std::string input_;
  std::string layer_;  // Of the last step with a parameter: steps without any belong to it.
};

}  // namespace orchard::training
