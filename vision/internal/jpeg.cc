#include <cstring>
#include <optional>

#include "core/status.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

// Source: ITU-T T.81, annex B (markers and segments).

namespace orchard::vision::internal {
namespace {

// A progressive picture needs about ten scans. Each costs a pass over all coefficients, so that a
// small file of thousands of scans would keep a decode thread busy for minutes.
constexpr size_t kMaxScans = 100;

constexpr std::uint32_t kStartOfImage = 0xD8;
constexpr std::uint32_t kEndOfImage = 0xD9;
constexpr std::uint32_t kStartOfScan = 0xDA;
constexpr std::uint32_t kApp1 = 0xE1;
constexpr std::string_view kExifMagic("Exif\0\0", 6);

bool StandsAlone(std::uint32_t marker) {
  return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7) || marker == kStartOfImage;
}

/// 0xC0 to 0xCF without DHT, JPG and DAC.
bool IsStartOfFrame(std::uint32_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/// The code of the next marker; moves `offset` behind it. Skips what is no marker exactly as the
/// decoder does, entropy-coded data included, so that both see the same structure.
std::optional<std::uint32_t> NextMarker(std::string_view bytes, size_t& offset) {
  while (offset < bytes.size()) {
    const void* found = std::memchr(bytes.data() + offset, 0xFF, bytes.size() - offset);
    if (found == nullptr) break;
    offset = static_cast<size_t>(static_cast<const char*>(found) - bytes.data()) + 1;
    while (offset < bytes.size() && Byte(bytes, offset) == 0xFF) ++offset;
    if (offset == bytes.size()) break;
    const std::uint32_t code = Byte(bytes, offset++);
    if (code != 0) return code;
  }
  return std::nullopt;
}

absl::Status ReadFrame(std::uint32_t marker, std::string_view segment, Container& container) {
  if (container.header.width != 0) return Refuse("JPEG: more than one frame header (SOF)");
  const bool decodable = marker <= 0xC2 || marker == 0xC9 || marker == 0xCA;
  if (!decodable) {
    return Refuse("JPEG: frame type SOF", marker - 0xC0,
                  " is lossless or hierarchical; save it as baseline or progressive");
  }
  if (!Has(segment, 0, 6)) return Refuse("JPEG: the frame header (SOF) is cut short");
  const std::uint32_t precision = Byte(segment, 0);
  if (precision != 8) return Refuse("JPEG: ", precision, " bits a sample; only 8 are supported");
  container.header.height = BigEndian16(segment, 1);
  container.header.width = BigEndian16(segment, 3);
  if (container.header.width == 0 || container.header.height == 0) {
    return Refuse("JPEG: empty picture, ", container.header.width, "x", container.header.height,
                  " pixels");
  }
  const std::uint32_t components = Byte(segment, 5);
  if (components != 1 && components != 3 && components != 4) {
    return Refuse("JPEG: ", components, " colour components; 1, 3 and 4 are supported");
  }
  if (!Has(segment, 6, 3 * size_t{components})) {
    return Refuse("JPEG: the frame header (SOF) is cut short");
  }
  container.channels = components;
  return absl::OkStatus();
}

/// OK when the picture ended at `marker`; otherwise says what is missing.
absl::Status Ending(std::optional<std::uint32_t> marker, size_t scans) {
  if (scans == 0) return Refuse("JPEG: truncated, no pixels follow the header");
  if (marker != kEndOfImage) return Refuse("JPEG: truncated, the end marker (EOI) is missing");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Container> ReadJpeg(std::string_view bytes) {
  Container container{.header = {.format = Format::kJpeg}};
  size_t offset = 2;
  size_t scans = 0;
  std::optional<std::uint32_t> marker;
  while ((marker = NextMarker(bytes, offset)) && *marker != kEndOfImage) {
    if (StandsAlone(*marker)) continue;
    if (!Has(bytes, offset, 2)) break;
    const size_t length = BigEndian16(bytes, offset);
    if (length < 2) return Refuse("JPEG: a segment of ", length, " bytes; at least 2 are needed");
    if (!Has(bytes, offset, length)) break;
    const std::string_view segment = bytes.substr(offset + 2, length - 2);
    offset += length;
    if (IsStartOfFrame(*marker)) {
      ORCHARD_RETURN_IF_ERROR(ReadFrame(*marker, segment, container));
    } else if (*marker == kApp1 && segment.substr(0, kExifMagic.size()) == kExifMagic) {
      container.header.orientation = TiffOrientation(segment.substr(kExifMagic.size()));
    } else if (*marker == kStartOfScan && ++scans > kMaxScans) {
      return Refuse("JPEG: more than ", kMaxScans, " scans; save it with fewer");
    }
  }
  if (container.header.width == 0) {
    return Refuse("JPEG: cut short before the frame header (SOF)");
  }
  container.whole = Ending(marker, scans);
  return container;
}

}  // namespace orchard::vision::internal
