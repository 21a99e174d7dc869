#include <optional>

#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

namespace orchard::vision::internal {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kTypeShort = 3;
constexpr size_t kEntryBytes = 12;

}  // namespace

std::optional<int> TiffOrientation(std::string_view tiff) {
  if (!Has(tiff, 0, 8)) return std::nullopt;
  const bool little = tiff.substr(0, 2) == "II";
  if (!little && tiff.substr(0, 2) != "MM") return std::nullopt;
  const auto read16 = little ? LittleEndian16 : BigEndian16;
  const auto read32 = little ? LittleEndian32 : BigEndian32;
  if (read16(tiff, 2) != 42) return std::nullopt;
  const size_t directory = read32(tiff, 4);
  if (!Has(tiff, directory, 2)) return std::nullopt;
  const size_t entries = read16(tiff, directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (!Has(tiff, entry, kEntryBytes)) return 1;
    if (read16(tiff, entry) != kOrientationTag) continue;
    const std::uint32_t value = read16(tiff, entry + 8);
    const bool sensible = read16(tiff, entry + 2) == kTypeShort && value >= 1 && value <= 8;
    return sensible ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace orchard::vision::internal
