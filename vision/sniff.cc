#include "vision/sniff.h"

#include "core/status.h"
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

absl::StatusOr<Container> ReadContainer(std::string_view bytes) {
  using std::string_view_literals::operator""sv;
  if (bytes.empty()) return Refuse("no bytes");
  if (StartsWith(bytes, "\xFF\xD8\xFF"sv)) return ReadJpeg(bytes);
  if (StartsWith(bytes, "\x89PNG\r\n\x1A\n"sv)) return ReadPng(bytes);
  if (IsWebp(bytes)) return ReadWebp(bytes);
  if (StartsWith(bytes, "BM")) return ReadBmp(bytes);
  if (IsPpm(bytes)) return ReadPpm(bytes);
  return Refuse("not a picture: the first bytes are those of none of JPEG, PNG, WebP, BMP, PPM");
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
  ORCHARD_ASSIGN_OR_RETURN(const internal::Container container, internal::ReadContainer(bytes));
  return container.header;
}

}  // namespace orchard::vision
