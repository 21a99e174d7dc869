#pragma once

#include <map>
#include <string>

#include "model/part_network.h"
#include "orchard/v1/model.pb.h"

namespace orchard::training {

/// What an ONNX file says of a part of a served model, as metadata: "orchard.model" (default/1),
/// "orchard.part", "orchard.encoder" (the fingerprint of the encoder whose features it reads or
/// makes), "orchard.labels" (of the first output's columns, one a line) and, where it reads
/// pictures, "orchard.preprocessing" (the manifest's words, JSON; what the file itself does not do
/// is framing and resizing).
std::map<std::string, std::string> FactsOf(const v1::ModelManifest& manifest,
                                           const model::PartNetwork& part);

}  // namespace orchard::training
