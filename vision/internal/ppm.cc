#include <algorithm>
#include <optional>

#include "vision/internal/bytes.h"
#include "vision/internal/container.h"
#include "vision/internal/pixels.h"

// Source: the netpbm formats' manual pages, pgm(5) and ppm(5); P5 and P6 only.

namespace orchard::vision::internal {
namespace {

bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/// Skips spaces and comments, then reads a decimal number of at most nine digits.
std::optional<std::uint64_t> NextNumber(std::string_view bytes, size_t& offset) {
  while (offset < bytes.size() && (IsSpace(bytes[offset]) || bytes[offset] == '#')) {
    if (bytes[offset] == '#') {
      while (offset < bytes.size() && bytes[offset] != '\n') ++offset;
    } else {
      ++offset;
    }
  }
  std::uint64_t value = 0;
  size_t digits = 0;
  while (offset < bytes.size() && bytes[offset] >= '0' && bytes[offset] <= '9' && digits < 10) {
    value = value * 10 + static_cast<std::uint64_t>(bytes[offset++] - '0');
    ++digits;
  }
  if (digits == 0 || digits == 10) return std::nullopt;
  return value;
}

}  // namespace

absl::StatusOr<Container> ReadPpm(std::string_view bytes) {
  size_t offset = 2;
  const auto width = NextNumber(bytes, offset);
  const auto height = width ? NextNumber(bytes, offset) : std::nullopt;
  const auto max_sample = height ? NextNumber(bytes, offset) : std::nullopt;
  if (!max_sample || !Has(bytes, offset, 1) || !IsSpace(bytes[offset])) {
    return Refuse("PPM: the header is cut short or holds no numbers");
  }
  if (*width == 0 || *height == 0) {
    return Refuse("PPM: empty picture, ", *width, "x", *height, " pixels");
  }
  if (*max_sample == 0 || *max_sample > 65535) {
    return Refuse("PPM: white is ", *max_sample, "; it must be 1 to 65535");
  }
  Container container{.header = {.format = Format::kPpm, .width = *width, .height = *height}};
  container.max_sample = static_cast<std::uint32_t>(*max_sample);
  container.channels = bytes[1] == '6' ? 3 : 1;
  container.pixels_at = offset + 1;
  const size_t sample_bytes = *max_sample > 255 ? 2 : 1;
  // Nine digits a side: the product stays below 2^63.
  const std::uint64_t need =
      container.pixels_at + *width * *height * container.channels * sample_bytes;
  if (need > bytes.size()) {
    container.whole = Refuse("PPM: truncated, ", bytes.size(), " bytes of ", need);
  }
  return container;
}

cv::Mat ReadPpmPixels(std::string_view bytes, const Container& container) {
  const std::uint32_t white = container.max_sample;
  const size_t sample_bytes = white > 255 ? 2 : 1;
  size_t offset = container.pixels_at;
  const auto next = [&] {
    const std::uint32_t value =
        sample_bytes == 2 ? BigEndian16(bytes, offset) : Byte(bytes, offset);
    offset += sample_bytes;
    return static_cast<std::uint8_t>((std::min(value, white) * 255 + white / 2) / white);
  };
  cv::Mat pixels(static_cast<int>(container.header.height),
                 static_cast<int>(container.header.width), CV_8UC3);
  for (std::uint8_t* bgr = pixels.data; bgr != pixels.dataend; bgr += 3) {
    bgr[2] = next();
    bgr[1] = container.channels == 3 ? next() : bgr[2];
    bgr[0] = container.channels == 3 ? next() : bgr[2];
  }
  return pixels;
}

}  // namespace orchard::vision::internal
