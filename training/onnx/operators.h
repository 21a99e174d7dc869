#pragma once

#include <map>
#include <string>

#include "training/onnx/translation.h"

namespace orchard::training {

/// Translates one of LibTorch's operators. Errors: c10::Error for a form that ONNX hasn't.
using Translate = void (*)(const Step& step);
using Operators = std::map<std::string, Translate>;

/// By LibTorch's name, "aten::relu". Each set in the file of its name.
const Operators& KnownOperators();

Operators LayerOperators();       ///< convolutions, linear maps, norms, activations, poolings
Operators ArithmeticOperators();  ///< elementwise, sums, softmax, sorting, what routers choose with
Operators ShapeOperators();       ///< views, cuts, joins, constants of a shape

}  // namespace orchard::training
