#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "vision/sniff.h"
#include "vision/vision.h"

namespace orchard::vision {

/// What becomes of decoded pixels, on which the memory at the peak depends.
enum class After : std::uint8_t {
  kFit,   ///< DecodeForEncoder(): they are resized and let go
  kKeep,  ///< Decode(): they are copied into memory of their own
};

/// What is refused before any pixel is decoded. A JPEG's scans times its pixels may be 16 times
/// `max_pixels`, because each scan is a pass over all of them.
struct Limits {
  std::uint64_t max_bytes = 16ULL << 20;          ///< of the file
  std::uint64_t max_pixels = 50'000'000;          ///< width times height, from the header
  std::uint64_t max_side = 32768;                 ///< pixels
  std::uint64_t max_decode_bytes = 256ULL << 20;  ///< memory at the peak, as DecodeCost()
  std::vector<Format> formats = {Format::kJpeg, Format::kPng, Format::kWebp};
};

/// Bytes → RGB. EXIF orientation applied; alpha laid over white; grey, CMYK and 16-bit pictures
/// become 8-bit RGB. A JPEG is decoded at the smallest DCT scale whose shorter side is at least
/// `enough` pixels (0: full size), because a large photograph costs more to decode than to
/// classify. libjpeg decodes JPEG, our own code PPM, OpenCV the others; no other decoder of OpenCV
/// than those of `limits.formats` is ever reached.
///
/// As lax as other readers: what follows the end of a picture (a second one, an upload's boundary)
/// is ignored, and so are colour profiles (ICC), other metadata and what is wrong with them. The
/// end may be missing when every pixel is there. A JPEG may have stray bytes before a marker and
/// restart markers counted wrongly; the first Exif block is the one that counts. An "animation" of
/// one frame is a still. Four-component JPEGs are taken for Adobe's inverted CMYK; alpha in a BMP
/// is ignored.
///
/// Thread-safe. Errors: INVALID_ARGUMENT with the value and the limit, or with the reason why the
/// bytes are no picture (truncated, corrupt); RESOURCE_EXHAUSTED when there is no memory; INTERNAL,
/// a mistake of ours. No exception leaves any function of this header. A JPEG has no checksum:
/// damage shows when the data end too early or hold a code that doesn't exist, which a single wrong
/// bit rarely causes. libpng says a line about damaged pixels on stderr.
absl::StatusOr<Image> Decode(std::string_view bytes, const Limits& limits, size_t enough);

/// Memory that is held at the peak for this picture besides its bytes, from its headers alone: no
/// pixel is decoded. Where they leave a choice it is the most that programs' files take, within a
/// few per cent; what a crafted lossless WebP may take is more (SECURITY.md). `after`: by
/// DecodeForEncoder(), or by Decode(), whose result is there twice for a moment.
///
/// `enough` as for Decode(); DecodeForEncoder() passes its profile's `shorter_side`. Linear in the
/// bytes, some 0.1 ms for a photograph. Thread-safe. Errors: those that Decode() gives before it
/// decodes.
absl::StatusOr<std::uint64_t> DecodeCost(std::string_view bytes, const Limits& limits,
                                         size_t enough, After after = After::kFit);

}  // namespace orchard::vision
