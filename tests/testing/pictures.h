#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vision/vision.h"

/// \file
/// Pictures for tests, drawn by code: no file is checked in, and a seed gives the same picture on
/// every machine. Draw…() makes pixels, Encode…() makes files of them, the rest makes files that
/// are odd, hostile or broken.

namespace orchard::testing {

/// A leaf with veins and, by the seed, spots of disease, before soil.
vision::Image DrawLeaf(size_t width, size_t height, std::uint64_t seed);

/// Grains of rice scattered over a dark cloth.
vision::Image DrawGrains(size_t width, size_t height, std::uint64_t seed);

/// Red grows to the right, green downwards, blue along both: every pixel tells where it was.
vision::Image DrawGradient(size_t width, size_t height);

/// One colour.
vision::Image DrawPlain(size_t width, size_t height, std::uint8_t red, std::uint8_t green,
                        std::uint8_t blue);

struct JpegOptions {
  int quality = 90;          ///< 1 to 100
  bool progressive = false;  ///< several scans
  bool grey = false;         ///< one component, luma of the picture
  int restart_interval =
      0;  ///< blocks of 16x16 pixels (grey: 8x8) between restart markers; 0: none
};
std::string EncodeJpeg(const vision::Image& image, const JpegOptions& options = {});

/// A baseline JPEG that holds every 8x8 block's first pixel exactly (only DC coefficients).
/// `planes`: 1, 3 or 4 of [height / 8, width / 8] bytes, stored as they are: luma; Y, Cb, Cr; or
/// the inverted C, M, Y, K that Adobe writes. Width and height are multiples of 8.
std::string EncodeFlatJpeg(size_t width, size_t height,
                           const std::vector<std::vector<std::uint8_t>>& planes);

/// PNG's colour types, by their numbers.
enum class PngColour : std::uint8_t {
  kGrey = 0,
  kRgb = 2,
  kPalette = 3,  ///< 216 colours, entry 36 r + 6 g + b is (51 r, 51 g, 51 b)
  kGreyAlpha = 4,
  kRgbAlpha = 6,
};

struct PngChunk {
  std::string type;  ///< four letters
  std::string data;
  bool sound = true;  ///< false: with a wrong checksum
};

struct PngOptions {
  PngColour colour = PngColour::kRgb;
  /// Bits a sample: 8, 16 (a byte b becomes b * 257), or fewer, of which grey pictures keep the
  /// highest of each byte and palettes the entry's lowest.
  int depth = 8;
  bool interlaced = false;               ///< by Adam7
  std::vector<std::uint8_t> alpha = {};  ///< [height, width]; empty: opaque. For the alpha types.
  std::vector<PngChunk> chunks = {};     ///< put before the pixels: tRNS, acTL, eXIf, …
  std::vector<PngChunk> behind = {};     ///< put after the pixels
};
/// Grey pictures take the red channel; palette pictures round to the nearest of 216 colours.
std::string EncodePng(const vision::Image& image, const PngOptions& options = {});

/// `quality` above 100 is lossless. `alpha`: [height, width], or empty for an opaque picture.
std::string EncodeWebp(const vision::Image& image, int quality = 101,
                       std::span<const std::uint8_t> alpha = {});

/// A lossless WebP of one colour, whose prefix codes take no bits: 30 bytes, whatever the size. Red
/// and blue are 0.
std::string EncodeFlatWebp(size_t width, size_t height, std::uint8_t green);

/// A frame of an animation: a simple WebP file, without alpha if it is lossy.
struct WebpFrame {
  std::string file;
  size_t left = 0;  ///< even
  size_t top = 0;   ///< even
};
/// The extended WebP of these frames on a canvas; each is shown for a tenth of a second.
std::string AnimateWebp(size_t width, size_t height, const std::vector<WebpFrame>& frames);

/// 24 bits a pixel.
std::string EncodeBmp(const vision::Image& image);

/// P6; a `white` above 255 takes two bytes a sample. Samples are scaled to `white`.
std::string EncodePpm(const vision::Image& image, int white = 255);

/// A minimal EXIF block (a TIFF structure) with one tag, the orientation; 0: the tag is another.
std::string ExifOrientation(int orientation, bool big_endian = false);

/// The JPEG's segment (APP1) for an EXIF block.
std::string ExifSegment(std::string_view exif);

/// The same file with that EXIF block: APP1 in a JPEG, eXIf in a PNG, EXIF in a simple WebP.
std::string WithOrientation(std::string_view file, int orientation);

/// Headers that claim a size, with hardly a pixel behind them.
std::string PngBomb(std::uint32_t width, std::uint32_t height);
std::string JpegBomb(std::uint16_t width, std::uint16_t height);
std::string WebpBomb(std::uint32_t width, std::uint32_t height);  ///< at most 16384 a side

}  // namespace orchard::testing
