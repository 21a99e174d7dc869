#include <stdexcept>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "tests/testing/pictures.h"

namespace orchard::testing {
namespace {

using vision::Image;

/// OpenCV's order, with a fourth channel when there is an `alpha`.
cv::Mat ToBgr(const Image& image, std::span<const std::uint8_t> alpha = {}) {
  const size_t channels = alpha.empty() ? 3 : 4;
  cv::Mat mat(static_cast<int>(image.height), static_cast<int>(image.width),
              alpha.empty() ? CV_8UC3 : CV_8UC4);
  for (size_t i = 0; i < image.width * image.height; ++i) {
    std::uint8_t* to = mat.data + i * channels;
    const std::uint8_t* from = image.rgb.data() + i * 3;
    to[0] = from[2];
    to[1] = from[1];
    to[2] = from[0];
    if (channels == 4) to[3] = alpha[i];
  }
  return mat;
}

std::string Encode(const char* extension, const cv::Mat& mat, const std::vector<int>& parameters) {
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(extension, mat, bytes, parameters)) {
    throw std::runtime_error(std::string("cannot encode ") + extension);
  }
  return {bytes.begin(), bytes.end()};
}

void AppendLittle(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

std::string RiffChunk(std::string_view type, std::string_view data) {
  std::string chunk(type);
  AppendLittle(chunk, static_cast<std::uint32_t>(data.size()), 4);
  chunk.append(data);
  if (data.size() % 2 == 1) chunk.push_back('\0');
  return chunk;
}

std::string ExtendedHeader(std::uint32_t flags, size_t width, size_t height) {
  std::string data;
  AppendLittle(data, flags, 4);
  AppendLittle(data, static_cast<std::uint32_t>(width - 1), 3);
  AppendLittle(data, static_cast<std::uint32_t>(height - 1), 3);
  return RiffChunk("VP8X", data);
}

std::string Vp8l(std::uint32_t width, std::uint32_t height) {
  std::string data("\x2F");
  AppendLittle(data, (width - 1) | (height - 1) << 14, 4);
  return RiffChunk("VP8L", data + std::string(8, '\0'));
}

cv::Mat DecodeAsStored(std::string_view file) {
  const cv::Mat bytes(1, static_cast<int>(file.size()), CV_8UC1, const_cast<char*>(file.data()));
  return cv::imdecode(bytes, cv::IMREAD_UNCHANGED);
}

/// A simple WebP (one image chunk) of `width` x `height` becomes an extended one with EXIF.
std::string WebpWithExif(std::string_view file, int orientation) {
  constexpr std::uint32_t kHasExif = 0x08;
  constexpr std::uint32_t kHasAlpha = 0x10;
  const cv::Mat pixels = DecodeAsStored(file);
  const std::uint32_t flags = kHasExif | (pixels.channels() == 4 ? kHasAlpha : 0);
  return RiffChunk("RIFF", "WEBP" +
                               ExtendedHeader(flags, static_cast<size_t>(pixels.cols),
                                              static_cast<size_t>(pixels.rows)) +
                               std::string(file.substr(12)) +
                               RiffChunk("EXIF", ExifOrientation(orientation)));
}

}  // namespace

std::string EncodeJpeg(const Image& image, const JpegOptions& options) {
  cv::Mat mat = ToBgr(image);
  if (options.grey) {
    cv::Mat grey(mat.rows, mat.cols, CV_8UC1);
    for (size_t i = 0; i < image.width * image.height; ++i) {
      const std::uint8_t* rgb = image.rgb.data() + 3 * i;
      grey.data[i] = static_cast<std::uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2]) / 1000);
    }
    mat = grey;
  }
  return Encode(
      ".jpg", mat,
      {cv::IMWRITE_JPEG_QUALITY, options.quality, cv::IMWRITE_JPEG_PROGRESSIVE,
       options.progressive ? 1 : 0, cv::IMWRITE_JPEG_RST_INTERVAL, options.restart_interval});
}

std::string EncodeWebp(const Image& image, int quality, std::span<const std::uint8_t> alpha) {
  return Encode(".webp", ToBgr(image, alpha), {cv::IMWRITE_WEBP_QUALITY, quality});
}

std::string EncodeFlatWebp(size_t width, size_t height, std::uint8_t green) {
  std::string data("\x2F");
  AppendLittle(data, static_cast<std::uint32_t>((width - 1) | (height - 1) << 14), 4);
  // No transform, no colour cache, one set of codes; then five codes of one symbol each: "simple",
  // "one symbol", whether it has eight bits or one, the symbol. The lowest bit comes first.
  std::uint64_t bits = 0;
  int filled = 3;
  const auto code = [&](std::uint64_t symbol, int length) {
    bits |= (std::uint64_t{1} | std::uint64_t{length == 8} << 2 | symbol << 3) << filled;
    filled += 3 + length;
  };
  code(green, 8);
  code(0, 1);    // red
  code(0, 1);    // blue
  code(255, 8);  // alpha
  code(0, 1);    // distance
  for (; filled > 0; filled -= 8, bits >>= 8) data.push_back(static_cast<char>(bits & 0xFF));
  return RiffChunk("RIFF", "WEBP" + RiffChunk("VP8L", data));
}

std::string AnimateWebp(size_t width, size_t height, const std::vector<WebpFrame>& frames) {
  constexpr std::uint32_t kIsAnimation = 0x02;
  std::string chunks = ExtendedHeader(kIsAnimation, width, height);
  std::string loops;
  AppendLittle(loops, 0xFFFFFFFF, 4);  // The background.
  AppendLittle(loops, 0, 2);           // For ever.
  chunks += RiffChunk("ANIM", loops);
  for (const WebpFrame& frame : frames) {
    const cv::Mat pixels = DecodeAsStored(frame.file);
    std::string data;
    AppendLittle(data, static_cast<std::uint32_t>(frame.left / 2), 3);
    AppendLittle(data, static_cast<std::uint32_t>(frame.top / 2), 3);
    AppendLittle(data, static_cast<std::uint32_t>(pixels.cols - 1), 3);
    AppendLittle(data, static_cast<std::uint32_t>(pixels.rows - 1), 3);
    AppendLittle(data, 100, 3);
    data.push_back('\0');
    chunks += RiffChunk("ANMF", data + frame.file.substr(12));
  }
  return RiffChunk("RIFF", "WEBP" + chunks);
}

std::string EncodeBmp(const Image& image) { return Encode(".bmp", ToBgr(image), {}); }

std::string EncodePpm(const Image& image, int white) {
  std::string file = "P6\n# drawn by a test\n" + std::to_string(image.width) + " " +
                     std::to_string(image.height) + "\n" + std::to_string(white) + "\n";
  for (const std::uint8_t byte : image.rgb) {
    const int sample = (byte * white + 127) / 255;
    if (white > 255) file.push_back(static_cast<char>(sample >> 8));
    file.push_back(static_cast<char>(sample & 0xFF));
  }
  return file;
}

std::string ExifOrientation(int orientation, bool big_endian) {
  std::string tiff;
  const auto number = [&](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      const int shift = 8 * (big_endian ? bytes - 1 - i : i);
      tiff.push_back(static_cast<char>(value >> shift & 0xFF));
    }
  };
  tiff = big_endian ? "MM" : "II";
  number(42, 2);
  number(8, 4);                                   // the directory follows at once
  number(1, 2);                                   // one entry:
  number(orientation == 0 ? 0x0128 : 0x0112, 2);  // orientation (or the unit of the resolution),
  number(3, 2);                                   // a SHORT,
  number(1, 4);                                   // one value,
  number(static_cast<std::uint32_t>(orientation), 2);
  number(0, 2);
  number(0, 4);  // no further directory
  return tiff;
}

std::string ExifSegment(std::string_view exif) {
  std::string app1("\xFF\xE1");
  const size_t length = 2 + 6 + exif.size();
  app1.push_back(static_cast<char>(length >> 8));
  app1.push_back(static_cast<char>(length & 0xFF));
  return app1.append("Exif\0\0", 6).append(exif);
}

std::string WithOrientation(std::string_view file, int orientation) {
  if (file.substr(0, 2) == "\xFF\xD8") {
    return std::string(file.substr(0, 2)) + ExifSegment(ExifOrientation(orientation)) +
           std::string(file.substr(2));
  }
  if (file.substr(0, 4) == "RIFF") return WebpWithExif(file, orientation);
  throw std::runtime_error("WithOrientation takes JPEG and WebP; for PNG use PngOptions::chunks");
}

std::string WebpBomb(std::uint32_t width, std::uint32_t height) {
  return RiffChunk("RIFF", "WEBP" + Vp8l(width, height));
}

}  // namespace orchard::testing
