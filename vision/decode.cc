#include "vision/decode.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>

#include "core/status.h"
#include "core/without_throwing.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"
#include "vision/internal/limits.h"
#include "vision/internal/pixels.h"

namespace orchard::vision {
namespace internal {
namespace {

// Its own code turns pictures, the same for all formats.
constexpr int kAsStored = cv::IMREAD_IGNORE_ORIENTATION;

cv::Mat OverBytes(std::string_view bytes) {
  // OpenCV has no read-only matrix; decoders only read.
  return cv::Mat(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
}

/// OpenCV offers the bytes to its decoders in turn. Those of PNG and BMP know their pictures by the
/// magic that we have seen, but WebP's looks deeper, and what it refuses is offered on: to those of
/// DICOM and of GDAL's elevation maps, which look for four letters further in. No picture has them
/// there by chance.
absl::Status CheckNoOtherFormat(std::string_view bytes) {
  struct Magic {
    size_t at;
    std::string_view letters;
    std::string_view name;
  };
  constexpr std::array kOthers = {Magic{128, "DICM", "DICOM"}, Magic{140, "DTED", "DTED"}};
  for (const Magic& other : kOthers) {
    if (bytes.size() >= other.at && bytes.substr(other.at, 4) == other.letters) {
      return Refuse("the picture pretends to be ", std::string(other.name), " as well");
    }
  }
  return absl::OkStatus();
}

absl::Status Corrupt(const Container& container) {
  const std::string_view name = WrittenName(container.header.format);
  if (!container.ended) return Refuse(name, ": truncated, the file ends inside the pixels");
  return Refuse(name, ": the pixels are corrupt or cut short");
}

/// OpenCV reads the size a second time; should it read another one than we did, the limits would
/// not have been applied to what it gave.
bool HasSize(const cv::Mat& pixels, std::uint64_t width, std::uint64_t height) {
  return static_cast<std::uint64_t>(pixels.cols) == width &&
         static_cast<std::uint64_t>(pixels.rows) == height;
}

/// value · alpha + white · (1 - alpha), rounded, as eight bits.
std::uint8_t OverWhite(std::uint32_t value, std::uint32_t alpha, std::uint32_t white) {
  const std::uint64_t laid = std::uint64_t{value} * alpha + std::uint64_t{white} * (white - alpha);
  const std::uint64_t whole = std::uint64_t{white} * white;
  return static_cast<std::uint8_t>((laid * 255 + whole / 2) / whole);
}

template <typename Sample>
cv::Mat LayOverWhite(const cv::Mat& pixels, const Container& container) {
  constexpr std::uint32_t kWhite = std::numeric_limits<Sample>::max();
  const auto channels = static_cast<size_t>(pixels.channels());
  const auto key = container.transparent_colour;
  cv::Mat opaque(pixels.size(), CV_8UC3);
  std::uint8_t* out = opaque.data;
  for (int y = 0; y < pixels.rows; ++y) {
    const Sample* in = pixels.ptr<Sample>(y);
    for (int x = 0; x < pixels.cols; ++x, in += channels, out += 3) {
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
  return opaque;
}

/// By OpenCV, `width` x `height` pixels, transparency laid over white.
absl::StatusOr<cv::Mat> DecodeByOpenCv(std::string_view bytes, const Container& container,
                                       std::uint64_t width, std::uint64_t height) {
  const bool transparent = container.alpha || container.transparent_colour;
  const int as = transparent ? cv::IMREAD_UNCHANGED : cv::IMREAD_COLOR;
  const cv::Mat pixels = cv::imdecode(OverBytes(bytes), as | kAsStored);
  if (!HasSize(pixels, width, height)) return Corrupt(container);
  if (!transparent) return pixels;
  if (pixels.depth() == CV_8U) return LayOverWhite<std::uint8_t>(pixels, container);
  if (pixels.depth() == CV_16U) return LayOverWhite<std::uint16_t>(pixels, container);
  return Corrupt(container);
}

absl::StatusOr<cv::Mat> ReadWebpPixels(const Container& container) {
  const WebpParts& webp = container.webp;
  cv::Mat frame;
  {
    const std::string plain = PlainWebp(container);
    ORCHARD_RETURN_IF_ERROR(CheckNoOtherFormat(plain));
    ORCHARD_ASSIGN_OR_RETURN(frame, DecodeByOpenCv(plain, container, webp.width, webp.height));
  }
  const cv::Size canvas(static_cast<int>(container.header.width),
                        static_cast<int>(container.header.height));
  if (frame.size() == canvas) return frame;
  // The rest of the canvas is transparent: viewers pass over the background colour of the file.
  cv::Mat whole(canvas, CV_8UC3, cv::Scalar::all(255));
  frame.copyTo(
      whole(cv::Rect({static_cast<int>(webp.left), static_cast<int>(webp.top)}, frame.size())));
  return whole;
}

absl::StatusOr<cv::Mat> ReadPixels(std::string_view bytes, const Container& container,
                                   size_t enough) {
  const Header& header = container.header;
  switch (header.format) {
    case Format::kJpeg:
      return ReadJpegPixels(bytes, container, enough);
    case Format::kPng:
      return DecodeByOpenCv(PlainPng(bytes), container, header.width, header.height);
    case Format::kWebp:
      return ReadWebpPixels(container);
    case Format::kBmp:
      return DecodeByOpenCv(bytes, container, header.width, header.height);
    case Format::kPpm:
      return ReadPpmPixels(bytes, container);
  }
  return Corrupt(container);
}

absl::StatusOr<cv::Mat> ReadUpright(std::string_view bytes, const Container& container,
                                    size_t enough) {
  ORCHARD_ASSIGN_OR_RETURN(const cv::Mat stored, ReadPixels(bytes, container, enough));
  return Orient(stored, container.header.orientation);
}

/// What OpenCV throws is about the picture, and so is memory that is not there: its words are told.
/// Whatever else is thrown ends in core::WithoutThrowing().
absl::StatusOr<cv::Mat> ReadUprightTellingWhy(std::string_view bytes, const Container& container,
                                              size_t enough) {
  // One picture, one thread: parallelism comes from many pictures. Process-wide, hence once.
  [[maybe_unused]] static const bool alone = [] {
    cv::setNumThreads(0);
    return true;
  }();
  try {
    return ReadUpright(bytes, container, enough);
  } catch (const cv::Exception& e) {
    if (e.code == cv::Error::StsNoMem) return absl::ResourceExhaustedError(e.err);
    return Refuse(WrittenName(container.header.format), ": ", e.err);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", container.header.width, "x",
                                                     container.header.height, " pixels"));
  }
}

}  // namespace

void SwapRedBlue(std::span<std::uint8_t> bytes) {
  for (size_t i = 0; i + 2 < bytes.size(); i += 3) std::swap(bytes[i], bytes[i + 2]);
}

absl::StatusOr<Pixels> DecodePixels(std::string_view bytes, const Limits& limits, size_t enough,
                                    After after) {
  return core::WithoutThrowing("decoding the picture", [&]() -> absl::StatusOr<Pixels> {
    ORCHARD_ASSIGN_OR_RETURN(const Container container,
                             ReadWithinLimits(bytes, limits, enough, after));
    ORCHARD_ASSIGN_OR_RETURN(cv::Mat upright, ReadUprightTellingWhy(bytes, container, enough));
    return Pixels{.mat = std::move(upright), .bgr = container.header.format != Format::kJpeg};
  });
}

}  // namespace internal

absl::StatusOr<std::uint64_t> DecodeCost(std::string_view bytes, const Limits& limits,
                                         size_t enough, After after) {
  return core::WithoutThrowing(
      "reading the picture's headers", [&]() -> absl::StatusOr<std::uint64_t> {
        ORCHARD_ASSIGN_OR_RETURN(const internal::Container container,
                                 internal::ReadWithinLimits(bytes, limits, enough, after));
        return internal::PeakBytes(container, bytes.size(), enough, after);
      });
}

absl::StatusOr<Image> Decode(std::string_view bytes, const Limits& limits, size_t enough) {
  ORCHARD_ASSIGN_OR_RETURN(const internal::Pixels pixels,
                           internal::DecodePixels(bytes, limits, enough, After::kKeep));
  return core::WithoutThrowing("copying the picture", [&]() -> absl::StatusOr<Image> {
    const std::span<const std::uint8_t> stored = internal::Bytes(pixels.mat);
    Image image{.width = static_cast<size_t>(pixels.mat.cols),
                .height = static_cast<size_t>(pixels.mat.rows),
                .rgb = {stored.begin(), stored.end()}};
    if (pixels.bgr) internal::SwapRedBlue(image.rgb);
    return image;
  });
}

}  // namespace orchard::vision
