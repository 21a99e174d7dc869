// What is said of files that are no pictures of ours.

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "vision/decode.h"

namespace orchard::vision {
namespace {

using orchard::testing::StatusIs;
using ::testing::StrEq;
using std::string_literals::operator""s;

struct ForeignCase {
  std::string name;
  std::string bytes;
  std::string kind;
};

class ForeignTest : public ::testing::TestWithParam<ForeignCase> {};

TEST_P(ForeignTest, IsNamedAndToldWhatThisServerTakes) {
  const auto& [name, bytes, kind] = GetParam();
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Decode(bytes, {}, 0), StatusIs(kInvalid, StrEq(kind + "; send JPEG, PNG or WebP")));
  EXPECT_THAT(Decode(bytes, {.formats = {Format::kPng, Format::kBmp}}, 0),
              StatusIs(kInvalid, StrEq(kind + "; send PNG or BMP")));
  EXPECT_THAT(Decode(bytes, {.formats = {Format::kWebp}}, 0),
              StatusIs(kInvalid, StrEq(kind + "; send WebP")));
  EXPECT_THAT(DecodeCost(bytes, {}, 0), StatusIs(kInvalid, ::testing::StartsWith(kind)));
}

/// The first box of an ISO media file.
std::string Box(const std::string& brands) {
  return "\0\0\0"s + static_cast<char>(8 + brands.size()) + "ftyp" + brands;
}

INSTANTIATE_TEST_SUITE_P(
    Table, ForeignTest,
    ::testing::Values(
        ForeignCase{"Gif", "GIF89a\1\1", "a GIF"}, ForeignCase{"OldGif", "GIF87a\1\1", "a GIF"},
        ForeignCase{"Tiff", "II*\0\10\0\0\0"s, "a TIFF or a camera's raw file"},
        ForeignCase{"BigEndianTiff", "MM\0*\0\0\0\10"s, "a TIFF or a camera's raw file"},
        ForeignCase{"BigTiff", "II+\0\10\0\0\0"s, "a BigTIFF"},
        ForeignCase{"Avif", Box("avif\0\0\0\0mif1miaf"s), "an AVIF"},
        ForeignCase{"AvifByCompatibility", Box("mif1\0\0\0\0mif1avif"s), "an AVIF"},
        ForeignCase{"Heic", Box("heic\0\0\0\0mif1heic"s), "a HEIC"},
        ForeignCase{"HeicByCompatibility", Box("mif1\0\0\0\0mif1heix"s), "a HEIC"},
        ForeignCase{"Heif", Box("mif1\0\0\0\0miaf"s), "a HEIF"},
        ForeignCase{"Cr3", Box("crx \0\0\0\1crx isom"s), "a camera's raw file (CR3)"},
        ForeignCase{"Video", Box("isom\0\0\2\0isomavc1"s), "a video or another ISO media file"},
        ForeignCase{"JpegXl", "\xFF\x0A\xFA\x1F", "a JPEG XL"},
        ForeignCase{"JpegXlBox", "\0\0\0\x0CJXL \r\n\x87\n\0\0"s, "a JPEG XL"},
        ForeignCase{"Jpeg2000", "\0\0\0\x0CjP  \r\n\x87\n\0\0"s, "a JPEG 2000"},
        ForeignCase{"Jpeg2000Stream", "\xFF\x4F\xFF\x51\0\x29"s, "a JPEG 2000"},
        ForeignCase{"Psd", "8BPS\0\1\0\0"s, "a PSD (Photoshop)"},
        ForeignCase{"Ico", "\0\0\1\0\2\0"s, "an ICO"},
        ForeignCase{"Svg", "<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"},
        ForeignCase{"SvgWithPrologue",
                    "\xEF\xBB\xBF \n<?xml version=\"1.0\"?>\n<!-- drawn -->\n<SVG width=\"2\"/>",
                    "an SVG"},
        ForeignCase{"Html", "\n<!DOCTYPE html><title>404</title>", "an HTML page"},
        ForeignCase{"Xml", "<?xml version=\"1.0\"?><Error/>", "an XML file"},
        ForeignCase{"Pdf", "%PDF-1.7\n", "a PDF"},
        ForeignCase{"Zip", "PK\3\4\x14", "a ZIP archive"},
        ForeignCase{"Base64Jpeg", "/9j/4AAQSkZJRgABAQ", "base64 text: decode it first"},
        ForeignCase{"Base64Png", "iVBORw0KGgoAAAANSUhEUg", "base64 text: decode it first"},
        ForeignCase{"DataUrl", "data:image/png;base64,iVBORw0KGgo",
                    "a data URL: decode its base64 first"},
        ForeignCase{"Avi", "RIFF\x24\0\0\0AVI LIST"s, "an AVI video"},
        ForeignCase{"PortableFloatMap", "PF\n2 2\n-1.0\n",
                    "a netpbm picture of another kind than P5 and P6"},
        ForeignCase{"Text", "hello, world",
                    "not a picture: its first bytes are those of no known format"},
        ForeignCase{"Nothing", "", "no bytes"}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::vision
