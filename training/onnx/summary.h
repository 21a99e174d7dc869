#pragma once

#include <string>

#include "absl/status/statusor.h"
#include <onnx/onnx_pb.h>

namespace orchard::training {

/// An ONNX model as a table: layer, operator, shape of its output, parameters, multiply-adds of one
/// picture (convolutions, linear maps and matrix products); then their sums. Without `all`, steps
/// that have neither weights nor multiply-adds are counted and left out. Any ONNX model: where it
/// doesn't say its shapes, they are inferred, and what can't be is "?". Statistics of a norm are no
/// parameters. Errors: INVALID_ARGUMENT with ONNX's message.
absl::StatusOr<std::string> SummaryText(onnx::ModelProto model, bool all);

}  // namespace orchard::training
