#include <cstdlib>

#include "vision/internal/bytes.h"
#include "vision/internal/container.h"

// Source: Microsoft's documentation of BITMAPFILEHEADER, BITMAPCOREHEADER and BITMAPINFOHEADER.

namespace orchard::vision::internal {
namespace {

constexpr size_t kFileHeaderBytes = 14;
constexpr std::uint32_t kCoreHeaderBytes = 12;
constexpr std::uint32_t kInfoHeaderBytes = 40;
constexpr std::uint32_t kPlain = 0;
constexpr std::uint32_t kBitFields = 3;

struct Fields {
  std::int64_t width = 0;
  std::int64_t height = 0;  // negative: the first row comes first
  std::uint32_t bits = 0;
  std::uint32_t compression = kPlain;
};

Fields ReadFields(std::string_view bytes, bool core) {
  constexpr size_t kAt = kFileHeaderBytes;
  if (core) {
    return {.width = LittleEndian16(bytes, kAt + 4),
            .height = LittleEndian16(bytes, kAt + 6),
            .bits = LittleEndian16(bytes, kAt + 10)};
  }
  return {.width = static_cast<std::int32_t>(LittleEndian32(bytes, kAt + 4)),
          .height = static_cast<std::int32_t>(LittleEndian32(bytes, kAt + 8)),
          .bits = LittleEndian16(bytes, kAt + 14),
          .compression = LittleEndian32(bytes, kAt + 16)};
}

}  // namespace

absl::StatusOr<Container> ReadBmp(std::string_view bytes) {
  if (!Has(bytes, 0, kFileHeaderBytes + kCoreHeaderBytes)) return Refuse("BMP: header cut short");
  const std::uint32_t size = LittleEndian32(bytes, kFileHeaderBytes);
  const bool core = size == kCoreHeaderBytes;
  if (!core && size < kInfoHeaderBytes) return Refuse("BMP: unknown header of ", size, " bytes");
  if (!Has(bytes, kFileHeaderBytes, size)) return Refuse("BMP: header cut short");
  const Fields fields = ReadFields(bytes, core);
  if (fields.width <= 0 || fields.height == 0) {
    return Refuse("BMP: empty picture, ", fields.width, "x", fields.height, " pixels");
  }
  if (fields.compression != kPlain && fields.compression != kBitFields) {
    return Refuse("BMP: compression ", fields.compression, "; only uncompressed is supported");
  }
  switch (fields.bits) {
    case 1:
    case 4:
    case 8:
    case 16:
    case 24:
    case 32:
      break;
    default:
      return Refuse("BMP: ", fields.bits, " bits a pixel");
  }
  Container container{.header = {.format = Format::kBmp}};
  container.header.width = static_cast<std::uint64_t>(fields.width);
  container.header.height = static_cast<std::uint64_t>(std::llabs(fields.height));
  // Both sides are below 2^32: the products cannot overflow 64 bits.
  const std::uint64_t row = (container.header.width * fields.bits + 31) / 32 * 4;
  const std::uint64_t need = LittleEndian32(bytes, 10) + row * container.header.height;
  if (need > bytes.size()) {
    container.whole = Refuse("BMP: truncated, ", bytes.size(), " bytes of ", need);
  }
  return container;
}

}  // namespace orchard::vision::internal
