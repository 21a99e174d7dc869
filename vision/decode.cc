#include "vision/decode.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/status.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"
#include "vision/internal/pixels.h"

namespace orchard::vision {
namespace internal {
namespace {

// Its own code turns pictures, the same for all formats.
constexpr int kAsStored = cv::IMREAD_IGNORE_ORIENTATION;

absl::Status CheckFormat(Format format, const Limits& limits) {
  if (std::ranges::find(limits.formats, format) != limits.formats.end()) return absl::OkStatus();
  const auto name = [](std::string* out, Format each) { out->append(Name(each)); };
  return Refuse(std::string(Name(format)), " pictures are not accepted; send one of: ",
                absl::StrJoin(limits.formats, ", ", name));
}

absl::Status CheckSize(const Header& header, const Limits& limits) {
  const std::uint64_t side = std::max(header.width, header.height);
  if (side > limits.max_side) {
    return Refuse("the picture has ", header.width, "x", header.height, " pixels; the limit is ",
                  limits.max_side, " a side");
  }
  // Both sides are below 2^32: the product cannot overflow.
  const std::uint64_t pixels = header.width * header.height;
  if (pixels > limits.max_pixels) {
    return Refuse("the picture has ", header.width, "x", header.height, " = ", pixels,
                  " pixels; the limit is ", limits.max_pixels, ": shrink it");
  }
  return absl::OkStatus();
}

/// The largest of 1, 2, 4, 8 by which a JPEG can be shrunk while it is decoded.
std::uint64_t DctScale(const Header& header, size_t enough) {
  if (header.format != Format::kJpeg || enough == 0) return 1;
  const std::uint64_t shorter = std::min(header.width, header.height);
  std::uint64_t scale = 8;
  while (scale > 1 && (shorter + scale - 1) / scale < enough) scale /= 2;
  return scale;
}

int ReadFlags(std::uint64_t scale) {
  switch (scale) {
    case 2:
      return cv::IMREAD_REDUCED_COLOR_2 | kAsStored;
    case 4:
      return cv::IMREAD_REDUCED_COLOR_4 | kAsStored;
    case 8:
      return cv::IMREAD_REDUCED_COLOR_8 | kAsStored;
    default:
      return cv::IMREAD_COLOR | kAsStored;
  }
}

cv::Mat OverBytes(std::string_view bytes) {
  // OpenCV has no read-only matrix; decoders only read.
  return cv::Mat(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
}

absl::Status Corrupt(Format format) {
  return Refuse(std::string(Name(format)), ": the pixels are corrupt or cut short");
}

/// Straight into the memory of the result.
absl::StatusOr<Image> DecodeOpaque(std::string_view bytes, const Header& header, size_t enough) {
  const std::uint64_t scale = DctScale(header, enough);
  Image image{.width = (header.width + scale - 1) / scale,
              .height = (header.height + scale - 1) / scale,
              .rgb = {}};
  image.rgb.resize(image.width * image.height * 3);
  cv::Mat pixels(static_cast<int>(image.height), static_cast<int>(image.width), CV_8UC3,
                 image.rgb.data());
  cv::imdecode(OverBytes(bytes), ReadFlags(scale), &pixels);
  // Another address means that OpenCV read another size from the header than we did.
  if (pixels.data != image.rgb.data()) return Corrupt(header.format);
  return image;
}

/// value · alpha + white · (1 - alpha), rounded, as eight bits.
std::uint8_t OverWhite(std::uint32_t value, std::uint32_t alpha, std::uint32_t white) {
  const std::uint64_t laid = std::uint64_t{value} * alpha + std::uint64_t{white} * (white - alpha);
  const std::uint64_t whole = std::uint64_t{white} * white;
  return static_cast<std::uint8_t>((laid * 255 + whole / 2) / whole);
}

template <typename Sample>
void LayOverWhite(const cv::Mat& pixels, const Container& container, Image& image) {
  constexpr std::uint32_t kWhite = std::numeric_limits<Sample>::max();
  const auto channels = static_cast<size_t>(pixels.channels());
  const auto key = container.transparent_colour;
  std::uint8_t* out = image.rgb.data();
  for (int y = 0; y < pixels.rows; ++y) {
    const Sample* in = pixels.ptr<Sample>(y);
    for (size_t x = 0; x < image.width; ++x, in += channels, out += 3) {
      const std::array<Sample, 3> bgr =
          channels < 3 ? std::array{in[0], in[0], in[0]} : std::array{in[0], in[1], in[2]};
      std::uint32_t alpha = channels == 4 ? in[3] : kWhite;
      if (key && bgr == std::array<Sample, 3>{static_cast<Sample>((*key)[2]),
                                              static_cast<Sample>((*key)[1]),
                                              static_cast<Sample>((*key)[0])}) {
        alpha = 0;
      }
      for (size_t c = 0; c < 3; ++c) out[c] = OverWhite(bgr[c], alpha, kWhite);
    }
  }
}

absl::StatusOr<Image> DecodeTransparent(std::string_view bytes, const Container& container) {
  const Header& header = container.header;
  const cv::Mat pixels = cv::imdecode(OverBytes(bytes), cv::IMREAD_UNCHANGED | kAsStored);
  if (pixels.empty() || static_cast<std::uint64_t>(pixels.cols) != header.width ||
      static_cast<std::uint64_t>(pixels.rows) != header.height || pixels.channels() == 2) {
    return Corrupt(header.format);
  }
  Image image{.width = header.width, .height = header.height, .rgb = {}};
  image.rgb.resize(image.width * image.height * 3);
  switch (pixels.depth()) {
    case CV_8U:
      LayOverWhite<std::uint8_t>(pixels, container, image);
      return image;
    case CV_16U:
      LayOverWhite<std::uint16_t>(pixels, container, image);
      return image;
    default:
      return Corrupt(header.format);
  }
}

absl::StatusOr<Image> DecodePixels(std::string_view bytes, const Container& container,
                                   size_t enough) {
  if (container.header.format == Format::kPpm) return ReadPpmPixels(bytes, container);
  if (container.alpha || container.transparent_colour) return DecodeTransparent(bytes, container);
  return DecodeOpaque(bytes, container.header, enough);
}

/// The one place where exceptions of OpenCV (and of memory that is not there) end.
absl::StatusOr<Image> DecodePixelsWithoutThrowing(std::string_view bytes,
                                                  const Container& container, size_t enough) {
  // One picture, one thread: parallelism comes from many pictures. Process-wide, hence once.
  [[maybe_unused]] static const bool alone = [] {
    cv::setNumThreads(0);
    return true;
  }();
  try {
    return DecodePixels(bytes, container, enough);
  } catch (const cv::Exception& e) {
    if (e.code == cv::Error::StsNoMem) return absl::ResourceExhaustedError(e.err);
    return Refuse(std::string(Name(container.header.format)), ": ", e.err);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", container.header.width, "x",
                                                     container.header.height, " pixels"));
  }
}

}  // namespace

void SwapRedBlue(std::span<std::uint8_t> pixels) {
  for (size_t i = 0; i + 2 < pixels.size(); i += 3) std::swap(pixels[i], pixels[i + 2]);
}

absl::StatusOr<Image> DecodeBgr(std::string_view bytes, const Limits& limits, size_t enough) {
  if (bytes.size() > limits.max_bytes) {
    return Refuse("the picture has ", bytes.size(), " bytes; the limit is ", limits.max_bytes,
                  ": shrink it or compress it more");
  }
  ORCHARD_ASSIGN_OR_RETURN(const Container container, ReadContainer(bytes));
  ORCHARD_RETURN_IF_ERROR(CheckFormat(container.header.format, limits));
  ORCHARD_RETURN_IF_ERROR(CheckSize(container.header, limits));
  ORCHARD_RETURN_IF_ERROR(container.whole);
  ORCHARD_ASSIGN_OR_RETURN(Image image, DecodePixelsWithoutThrowing(bytes, container, enough));
  return Orient(std::move(image), container.header.orientation);
}

}  // namespace internal

absl::StatusOr<Image> Decode(std::string_view bytes, const Limits& limits, size_t enough) {
  ORCHARD_ASSIGN_OR_RETURN(Image image, internal::DecodeBgr(bytes, limits, enough));
  internal::SwapRedBlue(image.rgb);
  return image;
}

}  // namespace orchard::vision
