#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nets/backbones/backbone.h"

namespace orchard::nets {

/// Our name of a tensor that timm calls `name`, for the networks whose names differ there
/// (EfficientNet-B0 and -Lite); of the others, whose names are torchvision's and timm's alike,
/// `name` itself. Nothing for a name that timm's network of this kind doesn't have.
std::optional<std::string> NameFromTimm(BackboneKind kind, std::string_view name);

/// Our name of a tensor of MobileNetV2 (torchvision's) that timm calls `name`: `conv_stem`, `bn1`,
/// `blocks.S.I.…`, `conv_head`, `bn2`, `classifier`.
std::optional<std::string> MobileNetV2NameFromTimm(std::string_view name);

}  // namespace orchard::nets
