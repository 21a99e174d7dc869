#include "model/store.h"

#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"

namespace orchard::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";

}  // namespace

absl::StatusOr<fs::path> ResolveVersion(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path / kManifest, error)) return path;
  std::optional<std::uint64_t> highest;
  fs::path version;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    std::uint64_t number = 0;
    if (!entry.is_directory(error)) continue;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &number)) continue;
    if (highest.has_value() && number <= *highest) continue;
    highest = number;
    version = entry.path();
  }
  if (highest.has_value()) return version;
  return absl::NotFoundError(absl::StrCat(path.string(), ": no model here: neither ", kManifest,
                                          " nor a folder named by a number"));
}

absl::StatusOr<fs::path> DefaultModel() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path bin = program.parent_path();
  std::vector<std::string> tried = {
      (bin.parent_path() / "share" / "orchard" / "models" / "default").string()};
  for (fs::path above = bin; above.has_relative_path(); above = above.parent_path()) {
    if (above.filename() == "build") {
      tried.push_back((above.parent_path() / "models" / "default").string());
    }
  }
  for (const std::string& place : tried) {
    if (fs::is_directory(place, error)) return fs::path(place);
  }
  return absl::NotFoundError(
      absl::StrCat("no default model; looked at: ", absl::StrJoin(tried, ", ")));
}

absl::StatusOr<TensorMap> ReadPart(const fs::path& version_dir, const v1::PartFile& part) {
  const fs::path file = version_dir / part.path();
  ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(file));
  const std::string sha256 = core::Sha256Hex(bytes);
  if (sha256 != part.sha256()) {
    return absl::InvalidArgumentError(absl::StrCat(file.string(), ": SHA-256 is ", sha256,
                                                   ", the manifest says ", part.sha256()));
  }
  return ParseSafetensors(bytes, file.string());
}

}  // namespace orchard::model
