#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include <onnx/onnx_pb.h>

#include "model/part_network.h"

namespace orchard::training {

/// `part` as an ONNX model of opset 17, in FP32, for any number of pictures: one input, the part's
/// outputs, all called as the part says. Experts inside a network run on every token, weighed by
/// their router: the same function, to rounding. `facts` become metadata. Recorded on random
/// pictures; what it does must not depend on them.
///
/// Errors: UNIMPLEMENTED naming every step of the network that ONNX, or this translation, has no
/// operator for; INTERNAL with LibTorch's message, or that of ONNX's checker.
absl::StatusOr<onnx::ModelProto> TranslateToOnnx(const model::PartNetwork& part,
                                                 const std::map<std::string, std::string>& facts);

}  // namespace orchard::training
