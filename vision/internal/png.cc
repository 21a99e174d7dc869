#include <string>

#include "core/status.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

// Source: W3C Portable Network Graphics (third edition), "Datastream structure" and "Chunks".

namespace orchard::vision::internal {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkOverhead = 12;  // length, type, CRC
constexpr std::uint32_t kLongest = 0x7FFFFFFF;

enum Colour : std::uint32_t { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgbAlpha = 6 };

/// Bit k of the result says that k bits a sample are allowed; 0 for an unknown colour type.
std::uint32_t AllowedDepths(std::uint32_t colour) {
  const auto bits = [](auto... depths) { return (0U | ... | (1U << depths)); };
  switch (colour) {
    case kGrey:
      return bits(1, 2, 4, 8, 16);
    case kPalette:
      return bits(1, 2, 4, 8);
    case kRgb:
    case kGreyAlpha:
    case kRgbAlpha:
      return bits(8, 16);
    default:
      return 0;
  }
}

struct Ihdr {
  std::uint32_t depth = 0;
  std::uint32_t colour = 0;
};

absl::StatusOr<Ihdr> ReadIhdr(std::string_view bytes, Container& container) {
  constexpr size_t kAt = kSignatureBytes + 8;
  if (!Has(bytes, 0, kAt + 13 + 4)) return Refuse("PNG: cut short in the header (IHDR)");
  if (BigEndian32(bytes, kSignatureBytes) != 13 || bytes.substr(12, 4) != "IHDR") {
    return Refuse("PNG: does not begin with a header (IHDR) of 13 bytes");
  }
  const std::uint32_t width = BigEndian32(bytes, kAt);
  const std::uint32_t height = BigEndian32(bytes, kAt + 4);
  if (width == 0 || height == 0) {
    return Refuse("PNG: empty picture, ", width, "x", height, " pixels");
  }
  if (width > kLongest || height > kLongest) {
    return Refuse("PNG: ", width, "x", height, " pixels; a side has at most ", kLongest);
  }
  const Ihdr ihdr{.depth = Byte(bytes, kAt + 8), .colour = Byte(bytes, kAt + 9)};
  if (ihdr.depth > 16 || (AllowedDepths(ihdr.colour) >> ihdr.depth & 1U) == 0) {
    return Refuse("PNG: colour type ", ihdr.colour, " with ", ihdr.depth,
                  " bits a sample does not exist");
  }
  container.header.width = width;
  container.header.height = height;
  container.alpha = ihdr.colour == kGreyAlpha || ihdr.colour == kRgbAlpha;
  container.max_sample = ihdr.depth == 16 ? 65535 : 255;
  return ihdr;
}

/// A grey or RGB picture's transparent colour, in the samples that the decoder will give: fewer
/// than eight bits are stretched to eight.
void ReadTransparency(const Ihdr& ihdr, std::string_view chunk, Container& container) {
  if (ihdr.colour == kPalette) {
    container.alpha = !chunk.empty();
  } else if (ihdr.colour == kGrey && chunk.size() == 2) {
    std::uint32_t grey = BigEndian16(chunk, 0) & ((1U << ihdr.depth) - 1);
    if (ihdr.depth < 8) grey = grey * 255 / ((1U << ihdr.depth) - 1);
    const auto sample = static_cast<std::uint16_t>(grey);
    container.transparent_colour = {sample, sample, sample};
  } else if (ihdr.colour == kRgb && chunk.size() == 6) {
    const auto sample = [&](size_t at) {
      return static_cast<std::uint16_t>(BigEndian16(chunk, at) & container.max_sample);
    };
    container.transparent_colour = {sample(0), sample(2), sample(4)};
  }
}

}  // namespace

absl::StatusOr<Container> ReadPng(std::string_view bytes) {
  Container container{.header = {.format = Format::kPng}};
  ORCHARD_ASSIGN_OR_RETURN(const Ihdr ihdr, ReadIhdr(bytes, container));
  bool has_pixels = false;
  size_t offset = kSignatureBytes;
  while (Has(bytes, offset, kChunkOverhead)) {
    const size_t length = BigEndian32(bytes, offset);
    const std::string_view type = bytes.substr(offset + 4, 4);
    if (!Has(bytes, offset, kChunkOverhead + length)) break;
    const std::string_view chunk = bytes.substr(offset + 8, length);
    offset += kChunkOverhead + length;
    if (type == "IEND") {
      if (!has_pixels) container.whole = Refuse("PNG: no pixels (IDAT)");
      return container;
    }
    if (type == "IDAT") {
      has_pixels = true;
    } else if (type == "tRNS" && !has_pixels) {
      ReadTransparency(ihdr, chunk, container);
    } else if (type == "eXIf") {
      container.header.orientation = TiffOrientation(chunk);
    } else if (type == "acTL" && length >= 4 && BigEndian32(chunk, 0) > 1) {
      return Refuse("PNG: an animation of ", BigEndian32(chunk, 0),
                    " frames; send one of them as a picture");
    }
  }
  container.whole = Refuse("PNG: truncated, the end chunk (IEND) is missing");
  return container;
}

}  // namespace orchard::vision::internal
