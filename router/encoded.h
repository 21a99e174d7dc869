#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"

#include "core/tensor.h"
#include "model/gates.h"

namespace orchard::router {

/// What the encoder and the gates of a model say about a micro-batch.
struct Encoded {
  core::FeatureBatch features;
  model::GateBatch gates;
};

/// The forward pass: `pixels`, uint8 [rows, crop, crop, 3] (none where the model has no encoder) →
/// features and gates of `rows` rows. Thread-safe. A function, so that tests of the pipeline need
/// no LibTorch.
using Encode =
    std::function<absl::StatusOr<Encoded>(std::span<const std::uint8_t> pixels, size_t rows)>;

}  // namespace orchard::router
