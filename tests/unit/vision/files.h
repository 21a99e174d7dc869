#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

/// \file
/// What tests of files share: cases by name, numbers as files have them, silence.

namespace orchard::vision {

struct FileCase {
  std::string name;
  std::string bytes;
};

struct RefusalCase {
  std::string name;
  std::string bytes;
  std::string reason;  ///< part of the message
};

/// `value` in so many bytes, the lowest first.
inline std::string LittleEndian(std::uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  return text;
}

/// `value` in so many bytes, the highest first.
inline std::string BigEndian(std::uint64_t value, size_t bytes) {
  const std::string little = LittleEndian(value, bytes);
  return {little.rbegin(), little.rend()};
}

/// Runs `decode` and gives what it says on stderr.
template <typename Decoding>
std::string Stderr(const Decoding& decode) {
  ::testing::internal::CaptureStderr();
  decode();
  return ::testing::internal::GetCapturedStderr();
}

}  // namespace orchard::vision
