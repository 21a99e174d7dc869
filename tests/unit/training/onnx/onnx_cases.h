#pragma once

#include <string>
#include <vector>

#include <torch/types.h>

#include "model/part_network.h"

/// \file
/// Every architecture, small where it may be, with weights that make pictures differ: what goes to
/// ONNX and is held to what LibTorch says.

namespace orchard::training {

/// Names without a slash; the encoder is "mobilenet_v2".
std::vector<std::string> OnnxCaseNames();

/// Weights depend on the name alone.
model::PartNetwork MakeOnnxCase(const std::string& name);

/// Drawn pictures [rows, side, side, 3] as the part reads them; for parts that read features,
/// numbers of their size.
torch::Tensor OnnxCaseInput(const model::PartNetwork& part, int64_t rows);

/// What the part says of `input`, with its own way of running experts.
std::vector<torch::Tensor> Answers(const model::PartNetwork& part, const torch::Tensor& input);

}  // namespace orchard::training
