#pragma once

#include <string>

#include "model/safetensors.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// SHA-256 over tensor names, shapes, dtypes and bytes in name order, then the preprocessing
/// (canonical JSON); the first 16 hex digits. Equal for equal encoders, whatever the file's layout.
std::string Fingerprint(const TensorMap& encoder, const v1::Preprocessing& preprocessing);

/// The same of what an expert reads that looks at pictures: how they are framed and resized. Mean
/// and deviation are not part of it: the expert applies them.
std::string PictureFingerprint(const v1::Preprocessing& preprocessing);

}  // namespace orchard::model
