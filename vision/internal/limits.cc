#include "vision/internal/limits.h"

#include <algorithm>

#include "core/status.h"
#include "vision/internal/bytes.h"

// Source: libjpeg-turbo's structure.txt ("Memory allocation") and jdcoefct.c; libwebp's vp8l_dec.c
// and alpha_dec.c; OpenCV's grfmt_png.cpp and grfmt_webp.cpp; and measurements
// (tests/unit/vision/decode_cost_test.cc).

namespace orchard::vision::internal {
namespace {

constexpr std::uint64_t kRgb = 3;  // bytes a pixel

// Rows on their way (sampled up, converted, filtered, resized), a column of the picture.
constexpr std::uint64_t kColumnBytes = 192;
// Tables and windows of the libraries.
constexpr std::uint64_t kFixedBytes = 512 << 10;
// A lossless WebP has its own codes for parts of the picture: encoders make at most 2600 sets of
// about 6 KiB, in files that can hold them: a set takes 20 bits and more.
constexpr std::uint64_t kMostCodes = 2600;
constexpr std::uint64_t kCodeBytes = 6 << 10;
constexpr std::uint64_t kLeastCodeBits = 20;

// Each scan of a JPEG is a pass over all pixels. Encoders write about ten; a picture of the largest
// size may have a few more, a smaller one as many as it likes.
constexpr std::uint64_t kScansOfLargest = 16;

/// Turned pictures are copies.
std::uint64_t WithTurn(const Header& header, std::uint64_t while_decoding, std::uint64_t rgb) {
  return header.orientation > 1 ? std::max(while_decoding, 2 * rgb) : while_decoding;
}

/// Of the decoded picture.
std::uint64_t RgbBytes(const Header& header, size_t enough) {
  const std::uint64_t shrink = header.format == Format::kJpeg ? JpegShrink(header, enough) : 1;
  return (header.width + shrink - 1) / shrink * ((header.height + shrink - 1) / shrink) * kRgb;
}

std::uint64_t JpegBytes(const Container& container, size_t enough) {
  const Header& header = container.header;
  const std::uint64_t rgb = RgbBytes(header, enough);
  constexpr std::uint64_t kBlockBytes = 64 * 2;
  const std::uint64_t kept = container.jpeg.several_scans ? container.jpeg.blocks * kBlockBytes : 0;
  return WithTurn(header, kept + rgb, rgb);
}

/// OpenCV gives transparent pictures with all their channels; they are then laid over white.
std::uint64_t PngBytes(const Container& container, std::uint64_t file_bytes) {
  const std::uint64_t pixels = container.header.width * container.header.height;
  const bool transparent = container.alpha || container.transparent_colour;
  const std::uint64_t sample = container.max_sample > 255 ? 2 : 1;
  const std::uint64_t decoded = pixels * (transparent ? 4 * sample + kRgb : kRgb);
  return WithTurn(container.header, decoded + file_bytes, pixels * kRgb);
}

std::uint64_t WebpBytes(const Container& container, std::uint64_t file_bytes) {
  const WebpParts& webp = container.webp;
  const std::uint64_t pixels = webp.width * webp.height;
  const std::uint64_t canvas = container.header.width * container.header.height;
  const std::uint64_t given = container.alpha ? 4 : kRgb;
  std::uint64_t inside = 0;
  if (webp.lossless || !webp.alpha.empty()) {
    // Pixels of 4 bytes, and up to three maps of the same at a quarter of the size each way.
    const std::uint64_t codes =
        std::min({kMostCodes, pixels / 16 + 1, 8 * file_bytes / kLeastCodeBits + 1});
    inside = 4 * pixels + pixels * 3 / 4 + codes * kCodeBytes;
    if (!webp.lossless) inside += pixels;  // The plane of alpha.
  }
  const std::uint64_t laid = container.alpha ? (given + kRgb) * pixels : 0;
  const std::uint64_t decoded = std::max(given * pixels + inside, laid) + file_bytes;
  const std::uint64_t placed = pixels == canvas ? 0 : (pixels + canvas) * kRgb;
  return WithTurn(container.header, std::max(decoded, placed), canvas * kRgb);
}

absl::Status CheckFormat(Format format, const Limits& limits) {
  if (std::ranges::find(limits.formats, format) != limits.formats.end()) return absl::OkStatus();
  return Refuse("a ", WrittenName(format), ", and ", Name(format),
                " is not among the formats accepted here; send ", AnyOf(limits.formats));
}

absl::Status CheckSize(const Header& header, const Limits& limits) {
  const std::uint64_t side = std::max(header.width, header.height);
  if (side > limits.max_side) {
    return Refuse("the picture has ", header.width, "x", header.height, " pixels; the limit is ",
                  limits.max_side, " a side: shrink it");
  }
  // Both sides are below 2^32: the product cannot overflow.
  const std::uint64_t pixels = header.width * header.height;
  if (pixels > limits.max_pixels) {
    return Refuse("the picture has ", header.width, "x", header.height, " = ", pixels,
                  " pixels; the limit is ", limits.max_pixels, ": shrink it");
  }
  return absl::OkStatus();
}

absl::Status CheckScans(const Container& container, const Limits& limits) {
  const std::uint64_t pixels = container.header.width * container.header.height;
  const std::uint64_t passes = container.jpeg.scans * pixels;
  const std::uint64_t limit = kScansOfLargest * limits.max_pixels;
  if (passes <= limit) return absl::OkStatus();
  return Refuse("JPEG: ", container.jpeg.scans, " scans of ", container.header.width, "x",
                container.header.height, " pixels go over ", passes, " pixels; the limit is ",
                limit, ": save it with fewer scans, or as baseline");
}

std::string_view Remedy(const Container& container) {
  if (container.header.format == Format::kJpeg && container.jpeg.several_scans) {
    return ": save it as baseline, not progressive, or shrink it";
  }
  return ": shrink it";
}

absl::Status CheckCost(const Container& container, std::uint64_t file_bytes, const Limits& limits,
                       size_t enough, After after) {
  const std::uint64_t cost = PeakBytes(container, file_bytes, enough, after);
  if (cost <= limits.max_decode_bytes) return absl::OkStatus();
  return Refuse("the picture has ", container.header.width, "x", container.header.height,
                " pixels, and to decode such a ", WrittenName(container.header.format), " takes ",
                cost, " bytes of memory; the limit is ", limits.max_decode_bytes,
                Remedy(container));
}

/// Until the pixels are there.
std::uint64_t DecodingBytes(const Container& container, std::uint64_t file_bytes, size_t enough) {
  switch (container.header.format) {
    case Format::kJpeg:
      return JpegBytes(container, enough);
    case Format::kPng:
      return PngBytes(container, file_bytes);
    case Format::kWebp:
      return WebpBytes(container, file_bytes);
    case Format::kBmp:
    case Format::kPpm:
      break;
  }
  return RgbBytes(container.header, enough);
}

}  // namespace

/// What decoding held besides the pixels is free when they are copied, but of other sizes, and
/// malloc is told to keep it: it counts with the copy.
std::uint64_t PeakBytes(const Container& container, std::uint64_t file_bytes, size_t enough,
                        After after) {
  const Header& header = container.header;
  const std::uint64_t copy = after == After::kKeep ? RgbBytes(header, enough) : 0;
  return kFixedBytes + header.width * kColumnBytes + DecodingBytes(container, file_bytes, enough) +
         copy;
}

absl::StatusOr<Container> ReadWithinLimits(std::string_view bytes, const Limits& limits,
                                           size_t enough, After after) {
  if (bytes.size() > limits.max_bytes) {
    return Refuse("the picture has ", bytes.size(), " bytes; the limit is ", limits.max_bytes,
                  ": shrink it or compress it more");
  }
  ORCHARD_ASSIGN_OR_RETURN(Container container, ReadContainer(bytes, limits.formats));
  ORCHARD_RETURN_IF_ERROR(CheckFormat(container.header.format, limits));
  ORCHARD_RETURN_IF_ERROR(CheckSize(container.header, limits));
  ORCHARD_RETURN_IF_ERROR(container.whole);
  ORCHARD_RETURN_IF_ERROR(CheckScans(container, limits));
  ORCHARD_RETURN_IF_ERROR(CheckCost(container, bytes.size(), limits, enough, after));
  return container;
}

}  // namespace orchard::vision::internal
