#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "vision/sniff.h"

/// \file
/// The container around the pixels, read by our own code so that no library sees bytes that we
/// have not walked through first. One reader a format; none allocates in proportion to the
/// picture, and all run in time linear in the bytes.

namespace orchard::vision::internal {

/// What only a JPEG has.
struct JpegParts {
  size_t end = 0;              ///< offset behind the picture: what follows is not for the decoder
  size_t scans = 0;            ///< passes over the picture
  bool several_scans = false;  ///< all coefficients are kept until the last one
  std::uint64_t blocks = 0;    ///< of 64 coefficients, all components together
};

/// What only a WebP has: the pieces of its one picture, which need not fill the canvas when it is
/// the only frame of an "animation".
struct WebpParts {
  std::string_view pixels = {};  ///< what the chunk VP8 or VP8L holds
  bool lossless = false;         ///< VP8L
  std::string_view alpha = {};   ///< what the chunk ALPH holds; empty: there is none
  std::uint64_t width = 0;       ///< of the pixels
  std::uint64_t height = 0;
  std::uint64_t left = 0;  ///< where they are on the canvas
  std::uint64_t top = 0;
};

/// What a walk through a file finds out. The views point into the file.
struct Container {
  Header header;
  bool alpha = false;  ///< pixels may be transparent
  /// PNG's transparent colour (grey: thrice the same), at the bit depth of the file.
  std::optional<std::array<std::uint16_t, 3>> transparent_colour = std::nullopt;
  std::uint32_t max_sample = 255;  ///< the value of white; 65535 for 16-bit PNG
  size_t pixels_at = 0;            ///< offset of the pixels, where they are stored plainly (PPM)
  size_t channels = 3;             ///< as stored
  JpegParts jpeg = {};
  WebpParts webp = {};
  /// The end that the format wants is there. Without it a picture may be whole all the same; then
  /// the decoder finds out whether pixels are missing.
  bool ended = true;
  absl::Status whole = absl::OkStatus();  ///< OK, or what is missing after the header
};

/// Chooses the reader by the magic bytes. Errors: INVALID_ARGUMENT, as Sniff(); what is no picture
/// of ours is told what it is, and to send one of `accepted`.
absl::StatusOr<Container> ReadContainer(std::string_view bytes, std::span<const Format> accepted);

/// "JPEG", "PNG", "WebP", "BMP", "PPM": how people write them.
std::string_view WrittenName(Format format);

/// "JPEG, PNG or WebP".
std::string AnyOf(std::span<const Format> formats);

/// What bytes are that are none of our formats, by their first ones: "a GIF", "a HEIC"; nothing
/// when they are not known. Source: the formats' specifications, and freedesktop.org's
/// shared-mime-info.
std::string_view ForeignKind(std::string_view bytes);

/// The readers; `bytes` begin with the format's magic. Errors: INVALID_ARGUMENT when the header is
/// cut short or contradicts itself. What is cut off behind the header is told in `whole`.
absl::StatusOr<Container> ReadJpeg(std::string_view bytes);
absl::StatusOr<Container> ReadPng(std::string_view bytes);
absl::StatusOr<Container> ReadWebp(std::string_view bytes);
absl::StatusOr<Container> ReadBmp(std::string_view bytes);
absl::StatusOr<Container> ReadPpm(std::string_view bytes);

/// The orientation tag (0x0112) of the first directory of a TIFF structure, which is what EXIF
/// blocks of all formats hold; 1 when there is none or it makes no sense. Nothing when the bytes
/// are no such structure at all, so that they do not count as the file's block. Source: TIFF 6.0;
/// CIPA DC-008 (EXIF), "Orientation".
std::optional<int> TiffOrientation(std::string_view tiff);

/// The largest of 1, 2, 4, 8 by which a JPEG may be shrunk as it is decoded, so that its shorter
/// side keeps `enough` pixels (0: not at all). libjpeg knows eighths between them as well, but has
/// no SIMD code for those, and what they save is next to nothing.
unsigned JpegShrink(const Header& header, size_t enough);

/// The PNG with nothing but what its pixels need, and an end: no text, no profile, no second
/// picture in other chunks can make the decoder stumble. `bytes` is one that ReadPng() took.
std::string PlainPng(std::string_view bytes);

/// The same for a WebP, from its parts.
std::string PlainWebp(const Container& container);

}  // namespace orchard::vision::internal
