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

absl::Status Corrupt(Format format) {
  return Refuse(std::string(Name(format)), ": the pixels are corrupt or cut short");
}

/// OpenCV reads the size a second time; should it read another one than we did, the limits would
/// not have been applied to what it gave.
bool HasSize(const cv::Mat& pixels, const Header& header) {
  return static_cast<std::uint64_t>(pixels.cols) == header.width &&
         static_cast<std::uint64_t>(pixels.rows) == header.height;
}

absl::StatusOr<cv::Mat> DecodeOpaque(std::string_view bytes, const Header& header) {
  cv::Mat pixels = cv::imdecode(OverBytes(bytes), cv::IMREAD_COLOR | kAsStored);
  if (!HasSize(pixels, header)) return Corrupt(header.format);
  return pixels;
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

absl::StatusOr<cv::Mat> DecodeTransparent(std::string_view bytes, const Container& container) {
  const cv::Mat pixels = cv::imdecode(OverBytes(bytes), cv::IMREAD_UNCHANGED | kAsStored);
  if (!HasSize(pixels, container.header)) return Corrupt(container.header.format);
  if (pixels.depth() == CV_8U) return LayOverWhite<std::uint8_t>(pixels, container);
  if (pixels.depth() == CV_16U) return LayOverWhite<std::uint16_t>(pixels, container);
  return Corrupt(container.header.format);
}

absl::StatusOr<cv::Mat> ReadPixels(std::string_view bytes, const Container& container,
                                   size_t enough) {
  const Format format = container.header.format;
  if (format == Format::kJpeg) return ReadJpegPixels(bytes, container.header, enough);
  if (format == Format::kPpm) return ReadPpmPixels(bytes, container);
  if (container.alpha || container.transparent_colour) return DecodeTransparent(bytes, container);
  return DecodeOpaque(bytes, container.header);
}

absl::StatusOr<cv::Mat> ReadUpright(std::string_view bytes, const Container& container,
                                    size_t enough) {
  ORCHARD_ASSIGN_OR_RETURN(const cv::Mat stored, ReadPixels(bytes, container, enough));
  return Orient(stored, container.header.orientation);
}

/// The one place where exceptions of OpenCV (and of memory that is not there) end.
absl::StatusOr<cv::Mat> ReadUprightWithoutThrowing(std::string_view bytes,
                                                   const Container& container, size_t enough) {
  // One picture, one thread: parallelism comes from many pictures. Process-wide, hence once.
  [[maybe_unused]] static const bool alone = [] {
    cv::setNumThreads(0);
    return true;
  }();
  try {
    return ReadUpright(bytes, container, enough);
  } catch (const cv::Exception& e) {
    if (e.code == cv::Error::StsNoMem) return absl::ResourceExhaustedError(e.err);
    return Refuse(std::string(Name(container.header.format)), ": ", e.err);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", container.header.width, "x",
                                                     container.header.height, " pixels"));
  }
}

}  // namespace

void SwapRedBlue(std::span<std::uint8_t> bytes) {
  for (size_t i = 0; i + 2 < bytes.size(); i += 3) std::swap(bytes[i], bytes[i + 2]);
}

absl::StatusOr<Pixels> DecodePixels(std::string_view bytes, const Limits& limits, size_t enough) {
  if (bytes.size() > limits.max_bytes) {
    return Refuse("the picture has ", bytes.size(), " bytes; the limit is ", limits.max_bytes,
                  ": shrink it or compress it more");
  }
  ORCHARD_ASSIGN_OR_RETURN(const Container container, ReadContainer(bytes));
  ORCHARD_RETURN_IF_ERROR(CheckFormat(container.header.format, limits));
  ORCHARD_RETURN_IF_ERROR(CheckSize(container.header, limits));
  ORCHARD_RETURN_IF_ERROR(container.whole);
  if (container.header.format == Format::kWebp) ORCHARD_RETURN_IF_ERROR(CheckNoOtherFormat(bytes));
  ORCHARD_ASSIGN_OR_RETURN(cv::Mat upright, ReadUprightWithoutThrowing(bytes, container, enough));
  return Pixels{.mat = std::move(upright), .bgr = container.header.format != Format::kJpeg};
}

}  // namespace internal

absl::StatusOr<Image> Decode(std::string_view bytes, const Limits& limits, size_t enough) {
  ORCHARD_ASSIGN_OR_RETURN(const internal::Pixels pixels,
                           internal::DecodePixels(bytes, limits, enough));
  const std::span<const std::uint8_t> stored = internal::Bytes(pixels.mat);
  Image image{.width = static_cast<size_t>(pixels.mat.cols),
              .height = static_cast<size_t>(pixels.mat.rows),
              .rgb = {stored.begin(), stored.end()}};
  if (pixels.bgr) internal::SwapRedBlue(image.rgb);
  return image;
}

}  // namespace orchard::vision
