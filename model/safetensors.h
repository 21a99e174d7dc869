#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace orchard::model {

/// Element types that Orchard reads and writes.
enum class StoredType : std::uint8_t { kF32, kF16, kI64 };

/// Bytes of one element.
size_t SizeOf(StoredType type);

/// One tensor as it lies in a file: row-major, little-endian.
struct StoredTensor {
  StoredType type = StoredType::kF32;
  std::vector<std::int64_t> shape;
  std::string bytes;

  /// As float32 values, whatever the stored type; shape as above.
  std::vector<float> Floats() const;
};

/// A float32 tensor stored as it is, or rounded to FP16.
StoredTensor Store(std::vector<std::int64_t> shape, const std::vector<float>& values,
                   StoredType type);

/// Type and shape, "F16 [81, 1280]", for logs and failed tests. LibTorch 2 declares printing for
/// every map, so that without this a test that may print a TensorMap does not compile.
std::ostream& operator<<(std::ostream& out, const StoredTensor& tensor);

/// Tensors by name, in name order.
using TensorMap = std::map<std::string, StoredTensor>;

/// Parses a safetensors file's bytes: 8-byte little-endian header length, JSON header, raw data.
/// No code runs. `file` is for messages only. Errors: INVALID_ARGUMENT naming the file and the
/// tensor: a header longer than the file or 100 MB, unknown dtype, offsets that overlap, leave
/// holes or point outside, a shape that doesn't match its bytes, a name given twice, NaN or ±∞.
absl::StatusOr<TensorMap> ParseSafetensors(std::string_view bytes, std::string_view file);

/// ReadFile and ParseSafetensors.
absl::StatusOr<TensorMap> ReadSafetensors(const std::filesystem::path& path);

/// The same format; the bytes depend on nothing but `tensors`.
std::string SerialiseSafetensors(const TensorMap& tensors);

}  // namespace orchard::model
