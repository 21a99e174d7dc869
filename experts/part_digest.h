#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/tensor.h"

namespace orchard::experts {

/// "POOLED", "MAP", "IMAGE".
std::string_view NameOf(core::FeatureKind kind);

/// What an expert part means to its callers: domain, class names in their order, the concept of
/// each class, and the kind of features that it reads.
///
/// Two parts with one digest may stand for each other; weights and part versions are free. The
/// encoder's fingerprint can't tell: a part whose classes stand in another order was trained on the
/// same encoder, fits in every shape, and answers with the wrong names.
///
/// `concepts`, [C]: the concept label of each class; a class without an alias is its own.
/// Returns the first 16 hex digits of a SHA-256.
std::string PartDigest(const std::string& domain, std::span<const std::string> classes,
                       std::span<const std::string> concepts, core::FeatureKind kind);

}  // namespace orchard::experts
