#include "core/status.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

// Source: RFC 9649 (WebP container, VP8X), RFC 6386 §9.1 (VP8 frame header).

namespace orchard::vision::internal {
namespace {

constexpr size_t kRiffBytes = 12;  // "RIFF", size, "WEBP"
constexpr std::uint32_t kFlagAnimation = 0x02;
constexpr std::uint32_t kFlagAlpha = 0x10;

/// The lossy picture's size: its frame tag, start code, then two 14-bit numbers.
absl::Status ReadVp8(std::string_view bitstream, Header& header) {
  if (!Has(bitstream, 0, 10)) return Refuse("WebP: cut short in the frame header (VP8)");
  const bool key_frame = (Byte(bitstream, 0) & 1) == 0;
  if (!key_frame || bitstream.substr(3, 3) != std::string_view("\x9D\x01\x2A", 3)) {
    return Refuse("WebP: the pixels (VP8) do not begin with a key frame");
  }
  header.width = LittleEndian16(bitstream, 6) & 0x3FFF;
  header.height = LittleEndian16(bitstream, 8) & 0x3FFF;
  return absl::OkStatus();
}

/// The lossless picture's size: a signature byte, then 14 + 14 bits less one, a bit for alpha.
absl::Status ReadVp8l(std::string_view bitstream, Container& container) {
  if (!Has(bitstream, 0, 5)) return Refuse("WebP: cut short in the frame header (VP8L)");
  const std::uint32_t fields = LittleEndian32(bitstream, 1);
  if (Byte(bitstream, 0) != 0x2F || fields >> 29 != 0) {
    return Refuse("WebP: the pixels (VP8L) have a wrong signature or version");
  }
  container.header.width = (fields & 0x3FFF) + 1;
  container.header.height = (fields >> 14 & 0x3FFF) + 1;
  container.alpha |= (fields >> 28 & 1) != 0;
  return absl::OkStatus();
}

absl::StatusOr<Header> ReadCanvas(std::string_view chunk, Container& container) {
  if (!Has(chunk, 0, 10)) return Refuse("WebP: cut short in the extended header (VP8X)");
  const std::uint32_t flags = Byte(chunk, 0);
  if ((flags & kFlagAnimation) != 0) {
    return Refuse("WebP: an animation; send one of its frames as a picture");
  }
  container.alpha = (flags & kFlagAlpha) != 0;
  Header canvas;
  canvas.width = LittleEndian24(chunk, 4) + 1;
  canvas.height = LittleEndian24(chunk, 7) + 1;
  return canvas;
}

/// The pixels' own size, which is what gets allocated, must be what the extended header claims.
absl::Status CheckSize(const Header& canvas, const Header& pixels) {
  if (pixels.width == 0 || pixels.height == 0) {
    return Refuse("WebP: empty picture, ", pixels.width, "x", pixels.height, " pixels");
  }
  if (canvas.width == 0) return absl::OkStatus();
  if (canvas.width != pixels.width || canvas.height != pixels.height) {
    return Refuse("WebP: the header says ", canvas.width, "x", canvas.height,
                  " pixels, the picture has ", pixels.width, "x", pixels.height);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Container> ReadWebp(std::string_view bytes) {
  Container container{.header = {.format = Format::kWebp}};
  Header canvas;
  const size_t end = size_t{LittleEndian32(bytes, 4)} + 8;
  const std::string_view riff = bytes.substr(0, end);
  bool cut = end > bytes.size();
  size_t offset = kRiffBytes;
  while (Has(riff, offset, 8)) {
    const std::string_view type = riff.substr(offset, 4);
    const size_t length = LittleEndian32(riff, offset + 4);
    const std::string_view chunk = riff.substr(offset + 8, length);
    cut |= chunk.size() < length;
    offset += 8 + length + length % 2;
    const bool has_pixels = container.header.width != 0;
    if (type == "VP8X") {
      ORCHARD_ASSIGN_OR_RETURN(canvas, ReadCanvas(chunk, container));
    } else if (type == "VP8 " && !has_pixels) {
      ORCHARD_RETURN_IF_ERROR(ReadVp8(chunk, container.header));
      ORCHARD_RETURN_IF_ERROR(CheckSize(canvas, container.header));
    } else if (type == "VP8L" && !has_pixels) {
      ORCHARD_RETURN_IF_ERROR(ReadVp8l(chunk, container));
      ORCHARD_RETURN_IF_ERROR(CheckSize(canvas, container.header));
    } else if (type == "EXIF") {
      const bool prefixed = chunk.substr(0, 6) == std::string_view("Exif\0\0", 6);
      container.header.orientation = TiffOrientation(chunk.substr(prefixed ? 6 : 0));
    }
  }
  if (container.header.width == 0) return Refuse("WebP: cut short, no pixels (VP8 or VP8L)");
  if (cut) {
    container.whole =
        Refuse("WebP: truncated, ", bytes.size(), " bytes of at least ", std::max(end, offset));
  }
  return container;
}

}  // namespace orchard::vision::internal
