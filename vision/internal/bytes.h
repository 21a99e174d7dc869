#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

/// \file
/// Numbers in foreign bytes, and the refusal of them. The readers of this folder ask Has() before
/// they read; the functions themselves do not check.

namespace orchard::vision::internal {

/// Whether bytes[offset, offset + count) exists; safe for any offset and count.
inline bool Has(std::string_view bytes, size_t offset, size_t count) {
  return offset <= bytes.size() && count <= bytes.size() - offset;
}

inline std::uint32_t Byte(std::string_view bytes, size_t offset) {
  return static_cast<std::uint8_t>(bytes[offset]);
}

inline std::uint32_t BigEndian16(std::string_view bytes, size_t offset) {
  return Byte(bytes, offset) << 8 | Byte(bytes, offset + 1);
}

inline std::uint32_t BigEndian32(std::string_view bytes, size_t offset) {
  return BigEndian16(bytes, offset) << 16 | BigEndian16(bytes, offset + 2);
}

inline std::uint32_t LittleEndian16(std::string_view bytes, size_t offset) {
  return Byte(bytes, offset) | Byte(bytes, offset + 1) << 8;
}

inline std::uint32_t LittleEndian24(std::string_view bytes, size_t offset) {
  return LittleEndian16(bytes, offset) | Byte(bytes, offset + 2) << 16;
}

inline std::uint32_t LittleEndian32(std::string_view bytes, size_t offset) {
  return LittleEndian16(bytes, offset) | LittleEndian16(bytes, offset + 2) << 16;
}

/// A part of a message, as abseil joins it: Debian 12's has a string_view of its own.
template <typename Part>
const Part& Joined(const Part& part) {
  return part;
}
inline std::string Joined(std::string_view part) { return std::string(part); }

/// INVALID_ARGUMENT whose message is `parts`, joined.
template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(Joined(parts)...));
}

}  // namespace orchard::vision::internal
