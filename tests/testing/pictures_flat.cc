#include <bit>
#include <cstdlib>

#include "tests/testing/pictures.h"

// A JPEG encoder for flat blocks: ITU-R T.81 with DC coefficients only.

namespace orchard::testing {
namespace {

void Append16(std::string& out, size_t value) {
  out.push_back(static_cast<char>(value >> 8 & 0xFF));
  out.push_back(static_cast<char>(value & 0xFF));
}

std::string Segment(std::uint8_t marker, std::string_view data) {
  std::string segment{'\xFF', static_cast<char>(marker)};
  Append16(segment, data.size() + 2);
  return segment.append(data);
}

class BitWriter {
 public:
  void Write(unsigned value, int bits) {
    for (int i = bits - 1; i >= 0; --i) {
      current_ = current_ << 1 | (value >> i & 1U);
      if (++filled_ == 8) Flush();
    }
  }

  /// Pads with ones, as the standard says.
  std::string Finish() {
    while (filled_ != 0) Write(1, 1);
    return bytes_;
  }

 private:
  void Flush() {
    bytes_.push_back(static_cast<char>(current_ & 0xFF));
    if ((current_ & 0xFF) == 0xFF) bytes_.push_back('\0');
    current_ = 0;
    filled_ = 0;
  }

  std::string bytes_;
  unsigned current_ = 0;
  int filled_ = 0;
};

/// Quantisation by 8 throughout, so that the DC coefficient is the sample less 128.
std::string Tables() {
  std::string quantisation(1, '\0');
  quantisation.append(64, '\x08');
  // DC: the nine categories 0 to 8 as codes of four bits. AC: "end of block" as a code of one bit.
  std::string dc(1, '\x00');
  dc.append({0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).append({0, 1, 2, 3, 4, 5, 6, 7, 8});
  std::string ac(1, '\x10');
  ac.append({1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).append(1, '\0');
  return Segment(0xDB, quantisation) + Segment(0xC4, dc) + Segment(0xC4, ac);
}

std::string Frame(size_t width, size_t height, size_t components) {
  std::string data(1, '\x08');
  Append16(data, height);
  Append16(data, width);
  data.push_back(static_cast<char>(components));
  for (size_t c = 0; c < components; ++c) {
    data.append({static_cast<char>(c + 1), '\x11', '\0'});  // id, sampling 1x1, table 0
  }
  return Segment(0xC0, data);
}

std::string ScanHeader(size_t components) {
  std::string data(1, static_cast<char>(components));
  for (size_t c = 0; c < components; ++c) data.append({static_cast<char>(c + 1), '\0'});
  return Segment(0xDA, data.append({0, 63, 0}));
}

void WriteBlock(BitWriter& bits, int difference) {
  const auto magnitude = static_cast<unsigned>(std::abs(difference));
  const int category = static_cast<int>(std::bit_width(magnitude));
  bits.Write(static_cast<unsigned>(category), 4);
  const int extra = difference < 0 ? difference + (1 << category) - 1 : difference;
  bits.Write(static_cast<unsigned>(extra), category);
  bits.Write(0, 1);
}

}  // namespace

std::string EncodeFlatJpeg(size_t width, size_t height,
                           const std::vector<std::vector<std::uint8_t>>& planes) {
  BitWriter bits;
  std::vector<int> before(planes.size(), 128);
  for (size_t block = 0; block < width / 8 * (height / 8); ++block) {
    for (size_t c = 0; c < planes.size(); ++c) {
      const int sample = planes[c][block];
      WriteBlock(bits, sample - before[c]);
      before[c] = sample;
    }
  }
  // Adobe's segment: version 100, no flags, no colour transform; four components are then CMYK.
  const std::string adobe("Adobe\0\x64\0\0\0\0\0", 12);
  return "\xFF\xD8" + (planes.size() == 4 ? Segment(0xEE, adobe) : "") + Tables() +
         Frame(width, height, planes.size()) + ScanHeader(planes.size()) + bits.Finish() +
         "\xFF\xD9";
}

std::string JpegBomb(std::uint16_t width, std::uint16_t height) {
  return "\xFF\xD8" + Tables() + Frame(width, height, 3) + ScanHeader(3) + "\xFF\xD9";
}

}  // namespace orchard::testing
