#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "nets/mobilenet_v2.h"
#include "nets/serve/servable.h"

namespace orchard::nets {

/// How the encoder's products are computed. Sums are FP32 either way.
enum class Precision {
  kFp32,
  /// Kernels, and activations but for the features, rounded to BF16: 8 bits of significand.
  kBf16,
};

/// Whether this CPU multiplies BF16 in hardware (AVX512-BF16, AMX). Without it kBf16 is refused.
bool CpuHasBf16();

/// MobileNetV2 as a list of oneDNN primitives: BatchNorm folded, ReLU6 and residual sums inside the
/// convolutions, kernels packed once, activations in a few buffers that are used again. The
/// function is MobileNetV2::forward's in evaluation mode, to rounding.
///
/// Why not FrozenNet: docs/decisions/0009-the-encoder-runs-in-onednn.md.
///
/// Thread-safe: callers share the kernels, each takes buffers of its own while it runs.
class FusedEncoder final : public Servable {
 public:
  /// `mean` and `std` ([3], of RGB / 255) standardise the pictures. Errors: INTERNAL with oneDNN's
  /// or LibTorch's message; FAILED_PRECONDITION for a precision that this CPU doesn't have.
  static absl::StatusOr<FusedEncoder> Make(const MobileNetV2& network, const torch::Tensor& mean,
                                           const torch::Tensor& std, Precision precision);
  ~FusedEncoder() override;
  FusedEncoder(FusedEncoder&&) noexcept;
  FusedEncoder& operator=(FusedEncoder&&) noexcept;

  /// One picture, `pixels` [224, 224, 3], → `map` [320, 7, 7] and `pooled` [1280], row-major.
  /// One at a time, so that no picture's bits depend on another's. Runs on the caller's thread.
  /// Errors: INTERNAL with oneDNN's message.
  absl::Status Run(const std::uint8_t* pixels, float* map, float* pooled) const;

  /// The same for uint8 [N, 224, 224, 3] → {map [N, 320, 7, 7], pooled [N, 1280]}.
  absl::StatusOr<std::vector<torch::Tensor>> Run(const torch::Tensor& input) const override;
  Invariance invariance() const override { return Invariance::kBits; }

 private:
  struct Impl;
  explicit FusedEncoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::nets
