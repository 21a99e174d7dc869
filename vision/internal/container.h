#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "vision/sniff.h"

/// \file
/// The container around the pixels, read by our own code so that no library sees bytes that we
/// have not walked through first. One reader a format; none allocates in proportion to the
/// picture, and all run in time linear in the bytes.

namespace orchard::vision::internal {

/// What a walk through a file finds out.
struct Container {
  Header header;
  bool alpha = false;  ///< pixels may be transparent
  /// PNG's transparent colour (grey: thrice the same), at the bit depth of the file.
  std::optional<std::array<std::uint16_t, 3>> transparent_colour = std::nullopt;
  std::uint32_t max_sample = 255;  ///< the value of white; 65535 for 16-bit PNG
  size_t pixels_at = 0;            ///< offset of the pixels, where they are stored plainly (PPM)
  size_t channels = 3;             ///< as stored
  absl::Status whole = absl::OkStatus();  ///< OK, or what is missing after the header
};

/// Chooses the reader by the magic bytes. Errors: INVALID_ARGUMENT, as Sniff().
absl::StatusOr<Container> ReadContainer(std::string_view bytes);

/// The readers; `bytes` begin with the format's magic. Errors: INVALID_ARGUMENT when the header is
/// cut short or contradicts itself. What is cut off behind the header is told in `whole`.
absl::StatusOr<Container> ReadJpeg(std::string_view bytes);
absl::StatusOr<Container> ReadPng(std::string_view bytes);
absl::StatusOr<Container> ReadWebp(std::string_view bytes);
absl::StatusOr<Container> ReadBmp(std::string_view bytes);
absl::StatusOr<Container> ReadPpm(std::string_view bytes);

/// The orientation tag (0x0112) of the first directory of a TIFF structure, which is what EXIF
/// blocks of all formats hold; 1 when there is none or it makes no sense.
/// Source: TIFF 6.0; CIPA DC-008 (EXIF), "Orientation".
int TiffOrientation(std::string_view tiff);

}  // namespace orchard::vision::internal
