#include "core/text.h"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/file_pieces.h"
#include "core/status.h"

namespace orchard::core {

std::string HumanBytes(std::uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024.0) break;
    value /= 1024.0;
    unit = larger;
  }
  return absl::StrFormat("%.1f %s", value, unit);
}

std::string_view CutAtCharacter(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  std::string bytes;
  ORCHARD_RETURN_IF_ERROR(ReadPieces(path, [&](std::string_view piece) { bytes.append(piece); }));
  return bytes;
}

absl::Status WriteFile(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".part";
  std::error_code error;
  {
    errno = 0;
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) error.assign(errno, std::generic_category());
    if (!file && !error) error = std::make_error_code(std::errc::io_error);
  }
  if (!error) std::filesystem::rename(temporary, path, error);
  if (!error) return absl::OkStatus();
  std::error_code ignored;  // The first error is the one to tell.
  std::filesystem::remove(temporary, ignored);
  return absl::UnavailableError(
      absl::StrCat(path.string(), ": can't be written: ", error.message()));
}

}  // namespace orchard::core
