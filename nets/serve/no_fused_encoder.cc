#include "nets/serve/fused_encoder.h"

/// \file
/// The FusedEncoder of a build without oneDNN: there is none, and that is said.

namespace orchard::nets {

struct FusedEncoder::Impl {};

namespace {

absl::Status None() {
  return absl::FailedPreconditionError(
      "this build has another LibTorch than Debian's and no oneDNN of its own: it trains, and "
      "neither serves nor measures models (docs/gpu.md)");
}

}  // namespace

bool CpuHasBf16() { return false; }

FusedEncoder::FusedEncoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FusedEncoder::~FusedEncoder() = default;
FusedEncoder::FusedEncoder(FusedEncoder&&) noexcept = default;
FusedEncoder& FusedEncoder::operator=(FusedEncoder&&) noexcept = default;

absl::StatusOr<FusedEncoder> FusedEncoder::Make(const MobileNetV2& /*network*/,
                                                const torch::Tensor& /*mean*/,
                                                const torch::Tensor& /*std*/,
                                                Precision /*precision*/) {
  return None();
}

absl::Status FusedEncoder::Run(const std::uint8_t* /*pixels*/, float* /*map*/,
                               float* /*pooled*/) const {
  return None();
}

absl::StatusOr<std::vector<torch::Tensor>> FusedEncoder::Run(const torch::Tensor& /*input*/) const {
  return None();
}

}  // namespace orchard::nets
