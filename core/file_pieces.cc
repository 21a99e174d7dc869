#include "core/file_pieces.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"

#include "core/digest.h"
#include "core/status.h"

namespace orchard::core {

absl::Status ReadPieces(const std::filesystem::path& path,
                        const std::function<void(std::string_view)>& take) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::NotFoundError(absl::StrCat(path.string(), ": no such file"));
  }
  std::array<char, 1 << 16> piece;  // NOLINT(cppcoreguidelines-pro-type-member-init): read into
  while (file.read(piece.data(), piece.size()) || file.gcount() > 0) {
    take({piece.data(), static_cast<size_t>(file.gcount())});
  }
  // The end of the file is eof and fail; not opened is fail alone, a directory or a failing disk
  // bad.
  if (file.bad() || !file.eof()) {
    return absl::UnavailableError(
        absl::StrCat(path.string(), ": can't be read: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path) {
  Sha256 digest;
  ORCHARD_RETURN_IF_ERROR(ReadPieces(path, [&](std::string_view piece) { digest.Add(piece); }));
  return digest.Hex();
}

}  // namespace orchard::core
