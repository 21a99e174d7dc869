#include "vision/sniff.h"

#include "core/status.h"
#include "core/without_throwing.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

namespace orchard::vision {
namespace internal {
namespace {

bool StartsWith(std::string_view bytes, std::string_view magic) {
  return bytes.substr(0, magic.size()) == magic;
}

bool IsWebp(std::string_view bytes) {
  return bytes.size() >= 12 && StartsWith(bytes, "RIFF") && bytes.substr(8, 4) == "WEBP";
}

bool IsPpm(std::string_view bytes) {
  constexpr std::string_view kSpaces = " \t\n\r\v\f";
  return (StartsWith(bytes, "P5") || StartsWith(bytes, "P6")) && bytes.size() >= 3 &&
         kSpaces.find(bytes[2]) != std::string_view::npos;
}

}  // namespace

std::string_view WrittenName(Format format) {
  switch (format) {
    case Format::kJpeg:
      return "JPEG";
    case Format::kPng:
      return "PNG";
    case Format::kWebp:
      return "WebP";
    case Format::kBmp:
      return "BMP";
    case Format::kPpm:
      return "PPM";
  }
  return "unknown";
}

std::string AnyOf(std::span<const Format> formats) {
  std::string text;
  for (size_t i = 0; i < formats.size(); ++i) {
    if (i > 0) text += i + 1 == formats.size() ? " or " : ", ";
    text += WrittenName(formats[i]);
  }
  return text;
}

absl::StatusOr<Container> ReadContainer(std::string_view bytes, std::span<const Format> accepted) {
  using std::string_view_literals::operator""sv;
  if (bytes.empty()) return Refuse("no bytes; send ", AnyOf(accepted));
  if (StartsWith(bytes, "\xFF\xD8\xFF"sv)) return ReadJpeg(bytes);
  if (StartsWith(bytes, "\x89PNG\r\n\x1A\n"sv)) return ReadPng(bytes);
  if (IsWebp(bytes)) return ReadWebp(bytes);
  if (StartsWith(bytes, "BM")) return ReadBmp(bytes);
  if (IsPpm(bytes)) return ReadPpm(bytes);
  const std::string_view kind = ForeignKind(bytes);
  if (!kind.empty()) return Refuse(kind, "; send ", AnyOf(accepted));
  return Refuse("not a picture: its first bytes are those of no known format; send ",
                AnyOf(accepted));
}

}  // namespace internal

std::string_view Name(Format format) {
  switch (format) {
    case Format::kJpeg:
      return "jpeg";
    case Format::kPng:
      return "png";
    case Format::kWebp:
      return "webp";
    case Format::kBmp:
      return "bmp";
    case Format::kPpm:
      return "ppm";
  }
  return "unknown";
}

absl::StatusOr<Header> Sniff(std::string_view bytes) {
  return core::WithoutThrowing("reading the picture's headers", [&]() -> absl::StatusOr<Header> {
    ORCHARD_ASSIGN_OR_RETURN(const internal::Container container,
                             internal::ReadContainer(bytes, kAllFormats));
    return container.header;
  });
}

}  // namespace orchard::vision
