#include <algorithm>

#include "tests/testing/pictures.h"

// A PNG encoder that doesn't compress: every colour type, and any chunk a test can think of.

namespace orchard::testing {
namespace {

using vision::Image;

void Append32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

/// The CRC of ISO 3309, as PNG wants it.
std::uint32_t Crc(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
  }
  return ~crc;
}

std::uint32_t Adler(std::string_view bytes) {
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<std::uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

std::string Chunk(std::string_view type, std::string_view data) {
  std::string typed(type);
  typed.append(data);
  std::string chunk;
  Append32(chunk, static_cast<std::uint32_t>(data.size()));
  chunk.append(typed);
  Append32(chunk, Crc(typed));
  return chunk;
}

/// zlib's format (RFC 1950) with stored blocks (RFC 1951).
std::string Stored(std::string_view bytes) {
  constexpr size_t kLargest = 65535;
  std::string out("\x78\x01");
  for (size_t at = 0; at < bytes.size(); at += kLargest) {
    const std::string_view block = bytes.substr(at, kLargest);
    const auto size = static_cast<std::uint16_t>(block.size());
    out.push_back(at + block.size() == bytes.size() ? '\1' : '\0');
    for (const unsigned value : {unsigned{size}, ~unsigned{size}}) {
      out.push_back(static_cast<char>(value & 0xFF));
      out.push_back(static_cast<char>(value >> 8 & 0xFF));
    }
    out.append(block);
  }
  Append32(out, Adler(bytes));
  return out;
}

std::string Header(std::uint32_t width, std::uint32_t height, int depth, PngColour colour) {
  std::string data;
  Append32(data, width);
  Append32(data, height);
  data.append({static_cast<char>(depth), static_cast<char>(colour), '\0', '\0', '\0'});
  return std::string("\x89PNG\r\n\x1A\n", 8) + Chunk("IHDR", data);
}

std::string Palette() {
  std::string data;
  for (int i = 0; i < 216; ++i) {
    data.append({static_cast<char>(i / 36 * 51), static_cast<char>(i / 6 % 6 * 51),
                 static_cast<char>(i % 6 * 51)});
  }
  return Chunk("PLTE", data);
}

/// The samples of one pixel.
std::vector<std::uint8_t> Samples(const std::uint8_t* rgb, std::uint8_t alpha, PngColour colour) {
  switch (colour) {
    case PngColour::kGrey:
      return {rgb[0]};
    case PngColour::kRgb:
      return {rgb[0], rgb[1], rgb[2]};
    case PngColour::kPalette: {
      const auto level = [](int byte) { return (byte + 25) / 51; };
      return {static_cast<std::uint8_t>(36 * level(rgb[0]) + 6 * level(rgb[1]) + level(rgb[2]))};
    }
    case PngColour::kGreyAlpha:
      return {rgb[0], alpha};
    case PngColour::kRgbAlpha:
      return {rgb[0], rgb[1], rgb[2], alpha};
  }
  return {};
}

}  // namespace

std::string EncodePng(const Image& image, const PngOptions& options) {
  std::string rows;
  for (size_t y = 0; y < image.height; ++y) {
    rows.push_back('\0');  // no filter
    for (size_t i = y * image.width; i < (y + 1) * image.width; ++i) {
      const std::uint8_t alpha = options.alpha.empty() ? std::uint8_t{255} : options.alpha[i];
      for (const std::uint8_t sample : Samples(image.rgb.data() + 3 * i, alpha, options.colour)) {
        rows.append(options.depth == 16 ? 2 : 1, static_cast<char>(sample));
      }
    }
  }
  std::string file =
      Header(static_cast<std::uint32_t>(image.width), static_cast<std::uint32_t>(image.height),
             options.depth, options.colour);
  if (options.colour == PngColour::kPalette) file += Palette();
  for (const PngChunk& chunk : options.chunks) file += Chunk(chunk.type, chunk.data);
  return file + Chunk("IDAT", Stored(rows)) + Chunk("IEND", "");
}

std::string PngBomb(std::uint32_t width, std::uint32_t height) {
  return Header(width, height, 8, PngColour::kRgb) + Chunk("IDAT", Stored(std::string(64, '\0'))) +
         Chunk("IEND", "");
}

}  // namespace orchard::testing
