#include <array>
#include <optional>
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

// What our own copy of a file ends with.
constexpr std::string_view kEnd("\0\0\0\0IEND\xAE\x42\x60\x82", 12);

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

struct Chunk {
  std::string_view type;
  std::string_view data;
  std::string_view whole;  // with length, type and checksum
};

/// The next chunk; moves `offset` behind it. Nothing when it is not there as a whole.
std::optional<Chunk> NextChunk(std::string_view bytes, size_t& offset) {
  if (!Has(bytes, offset, kChunkOverhead)) return std::nullopt;
  const size_t length = BigEndian32(bytes, offset);
  if (!Has(bytes, offset, kChunkOverhead + length)) return std::nullopt;
  const Chunk chunk{.type = bytes.substr(offset + 4, 4),
                    .data = bytes.substr(offset + 8, length),
                    .whole = bytes.substr(offset, kChunkOverhead + length)};
  offset += kChunkOverhead + length;
  return chunk;
}

constexpr std::array<std::uint32_t, 256> CrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    table[i] = crc;
  }
  return table;
}

/// Whether the checksum is right. Who reads a damaged chunk that only adds to the pixels passes it
/// over; the decoder checks those of the pixels itself.
bool IsSound(const Chunk& chunk) {
  static constexpr std::array kTable = CrcTable();
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : chunk.whole.substr(4, 4 + chunk.data.size())) {
    crc = crc >> 8 ^ kTable[(crc ^ static_cast<std::uint8_t>(c)) & 0xFF];
  }
  return BigEndian32(chunk.whole, chunk.whole.size() - 4) == ~crc;
}

/// How many pictures viewers would show one after the other: what acTL says, if it stands before
/// the pixels and each has its frame header (fcTL).
struct Frames {
  std::uint32_t promised = 0;  // by acTL
  std::uint32_t there = 0;
};

/// What a chunk tells but for the pixels; `behind`: they came before it.
void ReadAncillary(const Chunk& chunk, const Ihdr& ihdr, bool behind, bool& has_exif,
                   Frames& frames, Container& container) {
  if (chunk.type == "tRNS" && !behind && IsSound(chunk)) {
    ReadTransparency(ihdr, chunk.data, container);
  } else if (chunk.type == "eXIf" && !has_exif && IsSound(chunk)) {
    const auto orientation = TiffOrientation(chunk.data);
    has_exif = orientation.has_value();
    container.header.orientation = orientation.value_or(1);
  } else if (chunk.type == "acTL" && !behind && chunk.data.size() >= 4 && IsSound(chunk)) {
    frames.promised = BigEndian32(chunk.data, 0);
  } else if (chunk.type == "fcTL") {
    ++frames.there;
  }
}

}  // namespace

absl::StatusOr<Container> ReadPng(std::string_view bytes) {
  Container container{.header = {.format = Format::kPng}, .ended = false};
  ORCHARD_ASSIGN_OR_RETURN(const Ihdr ihdr, ReadIhdr(bytes, container));
  bool has_pixels = false;
  bool has_exif = false;
  Frames frames;
  size_t offset = kSignatureBytes;
  while (const auto chunk = NextChunk(bytes, offset)) {
    container.ended = chunk->type == "IEND";
    if (container.ended) break;
    has_pixels |= chunk->type == "IDAT";
    ReadAncillary(*chunk, ihdr, has_pixels, has_exif, frames, container);
  }
  if (frames.promised > 1 && frames.there > 1) {
    return Refuse("PNG: an animation of ", frames.promised,
                  " frames; send one of them as a picture");
  }
  // Without the end, the decoder finds out whether pixels are missing: theirs have checksums.
  const bool cut_in_pixels =
      !container.ended && Has(bytes, offset, 8) && bytes.substr(offset + 4, 4) == "IDAT";
  if (cut_in_pixels) {
    container.whole = Refuse("PNG: truncated, the file ends inside the pixels (IDAT)");
  } else if (!has_pixels) {
    container.whole = container.ended ? Refuse("PNG: no pixels (IDAT)")
                                      : Refuse("PNG: truncated, no pixels (IDAT)");
  }
  return container;
}

std::string PlainPng(std::string_view bytes) {
  const std::uint32_t colour = Byte(bytes, kSignatureBytes + 17);
  std::string plain(bytes.substr(0, kSignatureBytes));
  plain.reserve(bytes.size() + kEnd.size());
  const bool has_alpha = colour == kGreyAlpha || colour == kRgbAlpha;
  bool has_pixels = false;
  size_t offset = kSignatureBytes;
  while (const auto chunk = NextChunk(bytes, offset)) {
    if (chunk->type == "IEND") break;
    has_pixels |= chunk->type == "IDAT";
    if (chunk->type == "IHDR" || chunk->type == "IDAT" ||
        (chunk->type == "PLTE" && colour == kPalette) ||  // A mere suggestion for the others.
        (chunk->type == "tRNS" && !has_alpha && !has_pixels && IsSound(*chunk))) {
      plain.append(chunk->whole);
    }
  }
  return plain.append(kEnd);
}

}  // namespace orchard::vision::internal
