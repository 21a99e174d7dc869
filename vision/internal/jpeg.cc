#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "core/status.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

// Source: ITU-T T.81, annex B (markers and segments).

namespace orchard::vision::internal {
namespace {

// A progressive picture needs about ten scans. Each costs a pass over all coefficients, so that a
// small file of thousands of scans would keep a decode thread busy for minutes.
constexpr size_t kMaxScans = 100;

constexpr std::uint32_t kStartOfImage = 0xD8;
constexpr std::uint32_t kEndOfImage = 0xD9;
constexpr std::uint32_t kStartOfScan = 0xDA;
constexpr std::uint32_t kApp1 = 0xE1;
// Then a zero or, by some writers, anything: no other reader looks at the sixth byte.
constexpr std::string_view kExifMagic("Exif\0", 5);
constexpr size_t kExifMagicBytes = 6;

bool IsRestart(std::uint32_t marker) { return marker >= 0xD0 && marker <= 0xD7; }

bool StandsAlone(std::uint32_t marker) {
  return marker == 0x01 || IsRestart(marker) || marker == kStartOfImage;
}

/// 0xC0 to 0xCF without DHT, JPG and DAC.
bool IsStartOfFrame(std::uint32_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/// The code of the next marker; moves `offset` behind it. Skips what is no marker exactly as the
/// decoder does, entropy-coded data included, so that both see the same structure.
std::optional<std::uint32_t> NextMarker(std::string_view bytes, size_t& offset) {
  while (offset < bytes.size()) {
    const void* found = std::memchr(bytes.data() + offset, 0xFF, bytes.size() - offset);
    if (found == nullptr) break;
    offset = static_cast<size_t>(static_cast<const char*>(found) - bytes.data()) + 1;
    while (offset < bytes.size() && Byte(bytes, offset) == 0xFF) ++offset;
    if (offset == bytes.size()) break;
    const std::uint32_t code = Byte(bytes, offset++);
    if (code != 0) return code;
  }
  return std::nullopt;
}

struct Component {
  std::uint32_t id = 0;
  std::uint32_t across = 1;  ///< sampling factors: blocks of a unit of the picture
  std::uint32_t down = 1;
  std::uint64_t complete = 0;  ///< bit k: coefficient k has come to its last bit
};

/// The one frame of the file.
struct Frame {
  bool progressive = false;
  bool arithmetic = false;
  size_t components = 0;
  std::array<Component, 4> component;
};

/// SOFn → the size and the components.
absl::StatusOr<Frame> ReadFrame(std::uint32_t marker, std::string_view segment, Header& header) {
  const bool decodable = marker <= 0xC2 || marker == 0xC9 || marker == 0xCA;
  if (!decodable) {
    return Refuse("JPEG: frame type SOF", marker - 0xC0,
                  " is lossless or hierarchical; save it as baseline or progressive");
  }
  if (!Has(segment, 0, 6)) return Refuse("JPEG: the frame header (SOF) is cut short");
  const std::uint32_t precision = Byte(segment, 0);
  if (precision != 8) return Refuse("JPEG: ", precision, " bits a sample; only 8 are supported");
  header.height = BigEndian16(segment, 1);
  header.width = BigEndian16(segment, 3);
  if (header.width == 0 || header.height == 0) {
    return Refuse("JPEG: empty picture, ", header.width, "x", header.height, " pixels");
  }
  Frame frame{.progressive = marker == 0xC2 || marker == 0xCA,
              .arithmetic = marker >= 0xC9,
              .components = Byte(segment, 5),
              .component = {}};
  if (frame.components != 1 && frame.components != 3 && frame.components != 4) {
    return Refuse("JPEG: ", frame.components, " colour components; 1, 3 and 4 are supported");
  }
  if (!Has(segment, 6, 3 * frame.components)) {
    return Refuse("JPEG: the frame header (SOF) is cut short");
  }
  for (size_t c = 0; c < frame.components; ++c) {
    const std::uint32_t sampling = Byte(segment, 7 + 3 * c);
    frame.component[c] = {.id = Byte(segment, 6 + 3 * c),
                          .across = std::clamp(sampling >> 4, 1U, 4U),
                          .down = std::clamp(sampling & 15, 1U, 4U)};
  }
  return frame;
}

/// Of all components, in whole units of the picture, as a decoder keeps them.
std::uint64_t Blocks(const Frame& frame, const Header& header) {
  std::uint32_t across = 1;
  std::uint32_t down = 1;
  for (const Component& component : frame.component) {
    across = std::max(across, component.across);
    down = std::max(down, component.down);
  }
  const std::uint64_t units = ((header.width + 8 * across - 1) / (8 * across)) *
                              ((header.height + 8 * down - 1) / (8 * down));
  std::uint64_t blocks = 0;
  for (size_t c = 0; c < frame.components; ++c) {
    blocks += units * frame.component[c].across * frame.component[c].down;
  }
  return blocks;
}

/// What a scan brings: of which components which coefficients, down to which bit.
void ReadScan(std::string_view segment, Frame& frame, JpegParts& jpeg) {
  ++jpeg.scans;
  if (segment.empty()) return;
  const size_t count = Byte(segment, 0);
  if (!Has(segment, 1, 2 * count + 3)) return;  // The decoder will say so.
  jpeg.several_scans |= frame.progressive || count < frame.components;
  const size_t first = Byte(segment, 1 + 2 * count);
  const size_t last = Byte(segment, 2 + 2 * count);
  const bool to_the_last_bit = (Byte(segment, 3 + 2 * count) & 15) == 0;
  std::uint64_t coefficients = ~std::uint64_t{0};
  if (frame.progressive) {
    if (first > last || last > 63) return;
    coefficients = (~std::uint64_t{0} >> (63 - (last - first))) << first;
  }
  for (size_t i = 0; i < count; ++i) {
    for (Component& component : frame.component) {
      if (component.id != Byte(segment, 1 + 2 * i)) continue;
      if (!frame.progressive || to_the_last_bit) {
        component.complete |= coefficients;
      } else {
        component.complete &= ~coefficients;
      }
    }
  }
}

/// Whether the scans so far hold every pixel to the last bit, so that nothing has to follow. Where
/// arithmetic coding ends can't be told from data that are cut off: the decoder goes on with zeros.
bool IsComplete(const Frame& frame) {
  const auto begin = frame.component.begin();
  return frame.components > 0 && !frame.arithmetic &&
         std::all_of(begin, begin + static_cast<std::ptrdiff_t>(frame.components),
                     [](const Component& each) { return each.complete == ~std::uint64_t{0}; });
}

/// The walk through a file, segment by segment.
class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  absl::StatusOr<Container> Run() {
    size_t offset = 2;
    while (const auto marker = NextMarker(bytes_, offset)) {
      if (*marker == kEndOfImage) return Ended(offset);
      const bool complete = IsComplete(frame_);
      if (complete && !behind_pixels_ && !IsRestart(*marker)) behind_pixels_ = offset - 2;
      // What can't follow the pixels is somebody else's: a phone's trailer, another picture.
      if (*marker == kStartOfImage && complete) break;
      if (StandsAlone(*marker)) continue;
      const size_t length = Has(bytes_, offset, 2) ? BigEndian16(bytes_, offset) : 0;
      if (!Has(bytes_, offset, std::max<size_t>(length, 2))) break;
      const absl::Status read =
          length < 2 ? Refuse("JPEG: a segment of ", length, " bytes; at least 2 are needed")
                     : Segment(*marker, bytes_.substr(offset + 2, length - 2));
      if (!read.ok() && complete) break;
      ORCHARD_RETURN_IF_ERROR(read);
      if (container_.jpeg.scans > kMaxScans) {
        return Refuse("JPEG: more than ", kMaxScans, " scans; save it with fewer");
      }
      offset += length;
    }
    return EndedWithoutMarker();
  }

 private:
  absl::Status Segment(std::uint32_t marker, std::string_view segment) {
    if (IsStartOfFrame(marker)) {
      if (frame_.components != 0) return Refuse("JPEG: more than one frame header (SOF)");
      ORCHARD_ASSIGN_OR_RETURN(frame_, ReadFrame(marker, segment, container_.header));
      container_.channels = frame_.components;
      container_.jpeg.blocks = Blocks(frame_, container_.header);
    } else if (marker == kApp1 && container_.jpeg.scans == 0 && !has_exif_ &&
               segment.size() > kExifMagicBytes &&
               segment.substr(0, kExifMagic.size()) == kExifMagic) {
      // The first block is the picture's; others were left behind by editors.
      const auto orientation = TiffOrientation(segment.substr(kExifMagicBytes));
      has_exif_ = orientation.has_value();
      container_.header.orientation = orientation.value_or(1);
    } else if (marker == kStartOfScan) {
      ReadScan(segment, frame_, container_.jpeg);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Container> Ended(size_t end) {
    if (frame_.components == 0) {
      return Refuse("JPEG: cut short before the frame header (SOF)");
    }
    container_.jpeg.end = end;
    if (container_.jpeg.scans == 0) {
      container_.whole = Refuse("JPEG: truncated, no pixels follow the header");
    }
    return std::move(container_);
  }

  absl::StatusOr<Container> EndedWithoutMarker() {
    container_.ended = false;
    if (container_.jpeg.scans > 0 && !IsComplete(frame_)) {
      container_.whole = Refuse("JPEG: truncated, the end marker (EOI) is missing");
    }
    return Ended(behind_pixels_.value_or(bytes_.size()));
  }

  std::string_view bytes_;
  Container container_{.header = {.format = Format::kJpeg}};
  Frame frame_;
  bool has_exif_ = false;
  std::optional<size_t> behind_pixels_;  // the first marker after the pixels are complete
};

}  // namespace

absl::StatusOr<Container> ReadJpeg(std::string_view bytes) { return Walk(bytes).Run(); }

}  // namespace orchard::vision::internal
