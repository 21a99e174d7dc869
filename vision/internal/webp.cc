#include <algorithm>
#include <optional>
#include <utility>

#include "core/status.h"
#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

// Source: RFC 9649 (WebP container, VP8X), RFC 6386 §9.1 (VP8 frame header).

namespace orchard::vision::internal {
namespace {

constexpr size_t kRiffBytes = 12;    // "RIFF", size, "WEBP"
constexpr size_t kCanvasBytes = 10;  // of the extended header (VP8X)
constexpr size_t kFrameBytes = 16;   // of a frame's header (ANMF), before its own chunks
// Some writers put JPEG's prefix before the block: these five bytes and a sixth, as there.
constexpr std::string_view kExifMagic("Exif\0", 5);
constexpr size_t kExifMagicBytes = 6;
constexpr std::uint32_t kFlagAnimation = 0x02;
constexpr std::uint32_t kFlagExif = 0x08;
constexpr std::uint32_t kFlagAlpha = 0x10;
// OpenCV looks at 32 bytes and refuses what has fewer; a picture needs no more than 26.
constexpr size_t kLeastBytes = 64;

struct Chunk {
  std::string_view type;
  std::string_view data;
  bool cut = false;  // `data` is less than its length says
};

/// The next chunk; moves `offset` behind it and its padding. Nothing when no header is there.
std::optional<Chunk> NextChunk(std::string_view bytes, size_t& offset) {
  if (!Has(bytes, offset, 8)) return std::nullopt;
  const size_t length = LittleEndian32(bytes, offset + 4);
  const Chunk chunk{.type = bytes.substr(offset, 4),
                    .data = bytes.substr(offset + 8, length),
                    .cut = !Has(bytes, offset + 8, length)};
  offset += 8 + length + length % 2;
  return chunk;
}

/// The lossy picture's size: its frame tag, start code, then two 14-bit numbers.
absl::Status ReadVp8(std::string_view bitstream, WebpParts& webp) {
  if (!Has(bitstream, 0, 10)) return Refuse("WebP: cut short in the frame header (VP8)");
  const bool key_frame = (Byte(bitstream, 0) & 1) == 0;
  if (!key_frame || bitstream.substr(3, 3) != std::string_view("\x9D\x01\x2A", 3)) {
    return Refuse("WebP: the pixels (VP8) do not begin with a key frame");
  }
  webp.width = LittleEndian16(bitstream, 6) & 0x3FFF;
  webp.height = LittleEndian16(bitstream, 8) & 0x3FFF;
  return absl::OkStatus();
}

/// The lossless picture's size: a signature byte, then 14 + 14 bits less one, a bit for alpha.
absl::Status ReadVp8l(std::string_view bitstream, Container& container) {
  if (!Has(bitstream, 0, 5)) return Refuse("WebP: cut short in the frame header (VP8L)");
  const std::uint32_t fields = LittleEndian32(bitstream, 1);
  if (Byte(bitstream, 0) != 0x2F || fields >> 29 != 0) {
    return Refuse("WebP: the pixels (VP8L) have a wrong signature or version");
  }
  container.webp.lossless = true;
  container.webp.width = (fields & 0x3FFF) + 1;
  container.webp.height = (fields >> 14 & 0x3FFF) + 1;
  container.alpha |= (fields >> 28 & 1) != 0;
  return absl::OkStatus();
}

/// The walk through a file, chunk by chunk.
class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  absl::StatusOr<Container> Run() {
    // Writers that pad or stream get the file's size wrong. It only matters behind the pixels: what
    // lies beyond it is no part of the picture any more.
    const size_t end = size_t{LittleEndian32(bytes_, 4)} + 8;
    size_t offset = kRiffBytes;
    while (!HasPixels() || offset < end) {
      const auto chunk = NextChunk(bytes_, offset);
      if (!chunk) break;
      ORCHARD_RETURN_IF_ERROR(Read(*chunk));
    }
    if (frames_ > 1) {
      return Refuse("WebP: an animation of ", frames_, " frames; send one of them as a picture");
    }
    if (!HasPixels()) return Refuse("WebP: cut short, no pixels (VP8 or VP8L)");
    ORCHARD_RETURN_IF_ERROR(CheckPlace());
    if (cut_) {
      container_.whole =
          Refuse("WebP: truncated, ", bytes_.size(), " bytes of at least ", std::max(end, offset));
    }
    return std::move(container_);
  }

 private:
  bool HasPixels() const { return !container_.webp.pixels.empty(); }

  absl::Status Read(const Chunk& chunk) {
    if (chunk.type == "VP8X") return ReadCanvas(chunk.data);
    if (chunk.type == "ANMF") return ReadFrame(chunk);
    if (chunk.type == "EXIF") {
      ReadExif(chunk.data);
      return absl::OkStatus();
    }
    return ReadPicture(chunk);
  }

  absl::Status ReadCanvas(std::string_view data) {
    if (!Has(data, 0, kCanvasBytes)) return Refuse("WebP: cut short in the extended header (VP8X)");
    flags_ = Byte(data, 0);
    container_.alpha = (flags_ & kFlagAlpha) != 0;
    container_.header.width = LittleEndian24(data, 4) + 1;
    container_.header.height = LittleEndian24(data, 7) + 1;
    return absl::OkStatus();
  }

  /// The first one is the picture, if there is no other. Viewers count frames only where the
  /// extended header says that it is an animation, or where there is nothing else to show.
  absl::Status ReadFrame(const Chunk& frame) {
    if (HasPixels() && frames_ == 0) return absl::OkStatus();
    if (++frames_ > 1) return absl::OkStatus();
    if (!Has(frame.data, 0, kFrameBytes)) {
      return Refuse("WebP: cut short in the frame's header (ANMF)");
    }
    in_frame_ = true;
    container_.webp.left = 2 * std::uint64_t{LittleEndian24(frame.data, 0)};
    container_.webp.top = 2 * std::uint64_t{LittleEndian24(frame.data, 3)};
    size_t offset = kFrameBytes;
    while (const auto chunk = NextChunk(frame.data, offset)) {
      ORCHARD_RETURN_IF_ERROR(ReadPicture(*chunk));
    }
    cut_ |= frame.cut && !HasPixels();
    return absl::OkStatus();
  }

  absl::Status ReadPicture(const Chunk& chunk) {
    if (HasPixels()) return absl::OkStatus();
    if (chunk.type == "ALPH") {
      container_.webp.alpha = chunk.data;
    } else if (chunk.type == "VP8 " || chunk.type == "VP8L") {
      ORCHARD_RETURN_IF_ERROR(chunk.type == "VP8 " ? ReadVp8(chunk.data, container_.webp)
                                                   : ReadVp8l(chunk.data, container_));
      container_.webp.pixels = chunk.data;
      cut_ |= chunk.cut;
    }
    return absl::OkStatus();
  }

  void ReadExif(std::string_view data) {
    if (has_exif_ || (flags_ & kFlagExif) == 0) return;
    if (data.size() >= kExifMagicBytes && data.starts_with(kExifMagic)) {
      data.remove_prefix(kExifMagicBytes);
    }
    const auto orientation = TiffOrientation(data);
    has_exif_ = orientation.has_value();
    container_.header.orientation = orientation.value_or(1);
  }

  /// The pixels' own size, which is what gets allocated, must be what the extended header claims;
  /// a frame's lie on its canvas.
  absl::Status CheckPlace() {
    Header& canvas = container_.header;
    const WebpParts& webp = container_.webp;
    if (webp.width == 0 || webp.height == 0) {
      return Refuse("WebP: empty picture, ", webp.width, "x", webp.height, " pixels");
    }
    if (canvas.width == 0) {
      canvas.width = webp.left + webp.width;
      canvas.height = webp.top + webp.height;
    }
    const bool fits = in_frame_ ? webp.left + webp.width <= canvas.width &&
                                      webp.top + webp.height <= canvas.height
                                : canvas.width == webp.width && canvas.height == webp.height;
    if (fits) return absl::OkStatus();
    return Refuse("WebP: the header says ", canvas.width, "x", canvas.height,
                  " pixels, the picture has ", webp.width, "x", webp.height);
  }

  std::string_view bytes_;
  Container container_{.header = {.format = Format::kWebp}};
  std::uint32_t flags_ = 0;
  std::uint32_t frames_ = 0;
  bool in_frame_ = false;
  bool has_exif_ = false;
  bool cut_ = false;
};

void AppendLittle(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

void AppendChunk(std::string& out, std::string_view type, std::string_view data) {
  out.append(type);
  AppendLittle(out, data.size(), 4);
  out.append(data);
  if (data.size() % 2 == 1) out.push_back('\0');
}

}  // namespace

absl::StatusOr<Container> ReadWebp(std::string_view bytes) { return Walk(bytes).Run(); }

std::string PlainWebp(const Container& container) {
  const WebpParts& webp = container.webp;
  const bool alpha = container.alpha && !webp.alpha.empty() && !webp.lossless;
  std::string plain("RIFF\0\0\0\0WEBP", kRiffBytes);
  plain.reserve(webp.pixels.size() + webp.alpha.size() + kLeastBytes);
  if (alpha) {
    std::string canvas;
    AppendLittle(canvas, kFlagAlpha, 4);
    AppendLittle(canvas, webp.width - 1, 3);
    AppendLittle(canvas, webp.height - 1, 3);
    AppendChunk(plain, "VP8X", canvas);
    AppendChunk(plain, "ALPH", webp.alpha);
  }
  AppendChunk(plain, webp.lossless ? "VP8L" : "VP8 ", webp.pixels);
  std::string size;
  AppendLittle(size, plain.size() - 8, 4);
  plain.replace(4, 4, size);
  if (plain.size() < kLeastBytes) plain.resize(kLeastBytes);
  return plain;
}

}  // namespace orchard::vision::internal
