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

std::string Chunk(std::string_view type, std::string_view data, bool sound = true) {
  std::string typed(type);
  typed.append(data);
  std::string chunk;
  Append32(chunk, static_cast<std::uint32_t>(data.size()));
  chunk.append(typed);
  Append32(chunk, Crc(typed) ^ (sound ? 0 : 1));
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

std::string Header(std::uint32_t width, std::uint32_t height, int depth, PngColour colour,
                   bool interlaced = false) {
  std::string data;
  Append32(data, width);
  Append32(data, height);
  data.append(
      {static_cast<char>(depth), static_cast<char>(colour), '\0', '\0', interlaced ? '\1' : '\0'});
  return std::string("\x89PNG\r\n\x1A\n", 8) + Chunk("IHDR", data);
}

std::string Palette(int depth) {
  std::string data;
  for (int i = 0; i < std::min(216, 1 << depth); ++i) {
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

/// Which pixels a pass over the picture takes.
struct Pass {
  size_t x, y;       // the first one
  size_t right = 1;  // steps
  size_t down = 1;
};

/// A row of a pass, without a filter.
std::string Row(const Image& image, const PngOptions& options, const Pass& pass, size_t y) {
  std::string row(1, '\0');
  unsigned bits = 0;
  int filled = 0;
  for (size_t x = pass.x; x < image.width; x += pass.right) {
    const size_t i = y * image.width + x;
    const std::uint8_t alpha = options.alpha.empty() ? std::uint8_t{255} : options.alpha[i];
    for (std::uint8_t sample : Samples(image.rgb.data() + 3 * i, alpha, options.colour)) {
      if (options.depth >= 8) {
        row.append(options.depth == 16 ? 2 : 1, static_cast<char>(sample));
        continue;
      }
      const bool grey = options.colour == PngColour::kGrey;
      const unsigned value = grey ? sample >> (8 - options.depth) : sample;
      bits = bits << options.depth | (value & ((1U << options.depth) - 1));
      filled += options.depth;
      if (filled < 8) continue;
      row.push_back(static_cast<char>(bits & 0xFF));
      filled = 0;
    }
  }
  if (filled > 0) row.push_back(static_cast<char>(bits << (8 - filled) & 0xFF));
  return row;
}

}  // namespace

std::string EncodePng(const Image& image, const PngOptions& options) {
  std::vector<Pass> passes = {{.x = 0, .y = 0}};
  if (options.interlaced) {
    passes = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
              {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  }
  std::string rows;
  for (const Pass& pass : passes) {
    if (pass.x >= image.width) continue;
    for (size_t y = pass.y; y < image.height; y += pass.down) rows += Row(image, options, pass, y);
  }
  std::string file =
      Header(static_cast<std::uint32_t>(image.width), static_cast<std::uint32_t>(image.height),
             options.depth, options.colour, options.interlaced);
  const auto append = [&](const PngChunk& chunk) {
    file += Chunk(chunk.type, chunk.data, chunk.sound);
  };
  if (options.colour == PngColour::kPalette) file += Palette(options.depth);
  for (const PngChunk& chunk : options.chunks) append(chunk);
  file += Chunk("IDAT", Stored(rows));
  for (const PngChunk& chunk : options.behind) append(chunk);
  return file + Chunk("IEND", "");
}

std::string PngBomb(std::uint32_t width, std::uint32_t height) {
  return Header(width, height, 8, PngColour::kRgb) + Chunk("IDAT", Stored(std::string(64, '\0'))) +
         Chunk("IEND", "");
}

}  // namespace orchard::testing
