#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "core/tensor.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// Settings of a thread that runs networks: one intra-op thread, for ATen, OpenMP and OpenBLAS
/// alike. Call it first on every such thread (serving.md section 2.2 says why).
void PrepareInferenceThread();

/// How the encoder multiplies. Sums, features, gates and experts are FP32 whatever it is.
enum class EncoderPrecision {
  kAuto,  ///< BF16 where the CPU has it in hardware, else FP32
  kFp32,
  kBf16,
};

/// "auto", "fp32", "bf16": as settings and logs say it.
std::string Name(EncoderPrecision precision);

/// Each with its name, for settings.
std::vector<std::pair<std::string, EncoderPrecision>> NamedEncoderPrecisions();

/// The shared encoder, ready to call: uint8 [N, 224, 224, 3] → features.
/// Thread-safe: several encode workers share one, and so its weights.
class Encoder {
 public:
  /// Errors name the file: those of ReadPart, INVALID_ARGUMENT for an unknown architecture, missing
  /// or additional tensors, wrong shapes, or a fingerprint that is not the manifest's;
  /// FAILED_PRECONDITION for kBf16 on a CPU without it.
  static absl::StatusOr<std::unique_ptr<Encoder>> Load(
      const std::filesystem::path& version_dir, const v1::EncoderPart& part,
      EncoderPrecision precision = EncoderPrecision::kAuto);
  ~Encoder();

  /// Encodes `rows` pictures. `pixels` has shape [rows, crop, crop, 3], RGB. A row's features don't
  /// depend on the other rows, bit by bit. Errors: INTERNAL with oneDNN's message; NaN or ±∞ in a
  /// feature is INTERNAL as well.
  absl::StatusOr<core::FeatureBatch> Encode(std::span<const std::uint8_t> pixels,
                                            size_t rows) const;

  const std::string& fingerprint() const;

  /// What kAuto has become: kFp32 or kBf16.
  EncoderPrecision precision() const;

 private:
  struct Impl;
  explicit Encoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::model
