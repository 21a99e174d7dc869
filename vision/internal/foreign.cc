#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/ascii.h"

#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

namespace orchard::vision::internal {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  std::string_view first;
  std::string_view kind;
};

constexpr std::array kMagic = {
    Magic{"GIF87a"sv, "a GIF"},
    Magic{"GIF89a"sv, "a GIF"},
    // Most cameras' raw files are TIFFs as well.
    Magic{"II*\0"sv, "a TIFF or a camera's raw file"},
    Magic{"MM\0*"sv, "a TIFF or a camera's raw file"},
    Magic{"II+\0"sv, "a BigTIFF"},
    Magic{"MM\0+"sv, "a BigTIFF"},
    Magic{"\xFF\x0A"sv, "a JPEG XL"},
    Magic{"\0\0\0\x0CJXL \r\n\x87\n"sv, "a JPEG XL"},
    Magic{"\xFF\x4F\xFF\x51"sv, "a JPEG 2000"},
    Magic{"\0\0\0\x0CjP  \r\n\x87\n"sv, "a JPEG 2000"},
    Magic{"8BPS"sv, "a PSD (Photoshop)"},
    Magic{"qoif"sv, "a QOI"},
    Magic{"\x76\x2F\x31\x01"sv, "an OpenEXR"},
    Magic{"\0\0\1\0"sv, "an ICO"},
    Magic{"%PDF-"sv, "a PDF"},
    Magic{"%!PS"sv, "a PostScript file"},
    Magic{"PK\3\4"sv, "a ZIP archive"},
    Magic{"\x1F\x8B"sv, "gzip-compressed data"},
    // JPEG, PNG and WebP written as text.
    Magic{"/9j/"sv, "base64 text: decode it first"},
    Magic{"iVBORw0KGgo"sv, "base64 text: decode it first"},
    Magic{"UklGR"sv, "base64 text: decode it first"},
    Magic{"data:image/"sv, "a data URL: decode its base64 first"},
};

/// The brands of an ISO media file's first box, four letters each: the major one, then (after a
/// version) those that it is compatible with.
std::string_view MediaKind(std::string_view bytes) {
  const std::string_view box = bytes.substr(0, std::min<size_t>(BigEndian32(bytes, 0), 256));
  const auto has = [&](std::string_view brand) {
    for (size_t at = 8; Has(box, at, 4); at += 4) {
      if (at != 12 && box.substr(at, 4) == brand) return true;
    }
    return false;
  };
  if (has("avif") || has("avis")) return "an AVIF";
  if (has("heic") || has("heix") || has("heim") || has("heis") || has("hevc") || has("hevx")) {
    return "a HEIC";
  }
  if (has("mif1") || has("msf1")) return "a HEIF";
  if (has("crx ")) return "a camera's raw file (CR3)";
  return "a video or another ISO media file";
}

std::string_view RiffKind(std::string_view bytes) {
  const std::string_view form = bytes.substr(8, 4);
  if (form == "AVI ") return "an AVI video";
  if (form == "WAVE") return "a WAV sound";
  return {};
}

/// By the first of what may stand there after white space.
std::string_view TextKind(std::string_view bytes) {
  constexpr size_t kLookAt = 1024;
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  const std::string begin(bytes.substr(0, kLookAt));
  const std::string text = absl::AsciiStrToLower(absl::StripLeadingAsciiWhitespace(begin));
  const auto has = [&](std::string_view tag) { return text.find(tag) != std::string::npos; };
  if (!text.starts_with('<')) return {};
  if (has("<svg")) return "an SVG";
  if (has("<html") || text.starts_with("<!doctype html")) return "an HTML page";
  return text.starts_with("<?xml") ? "an XML file" : std::string_view{};
}

}  // namespace

std::string_view ForeignKind(std::string_view bytes) {
  for (const Magic& magic : kMagic) {
    if (bytes.starts_with(magic.first)) return magic.kind;
  }
  if (Has(bytes, 0, 12) && bytes.substr(4, 4) == "ftyp") return MediaKind(bytes);
  if (Has(bytes, 0, 12) && bytes.starts_with("RIFF")) return RiffKind(bytes);
  // The netpbm formats but P5 and P6, which are ours.
  if (Has(bytes, 0, 3) && bytes[0] == 'P' &&
      std::string_view("123467Ff").find(bytes[1]) != std::string_view::npos &&
      absl::ascii_isspace(static_cast<unsigned char>(bytes[2]))) {
    return "a netpbm picture of another kind than P5 and P6";
  }
  return TextKind(bytes);
}

}  // namespace orchard::vision::internal
