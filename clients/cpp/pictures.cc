#include "clients/cpp/pictures.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "core/text.h"

namespace orchard::client {
namespace {

namespace fs = std::filesystem;

bool IsPictureName(const fs::path& path) {
  static constexpr std::array kExtensions = {".jpg", ".jpeg", ".png", ".webp"};
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

/// Appends what ExpandPictures says of a folder: an error that ends the walk takes no picture away.
void WalkFolder(const std::string& folder, std::vector<absl::StatusOr<std::string>>& pictures) {
  std::vector<std::string> found;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && IsPictureName(it->path())) {
      found.push_back(it->path().string());
    }
  }
  std::ranges::sort(found);
  std::ranges::move(found, std::back_inserter(pictures));
  if (error) {
    pictures.emplace_back(absl::UnavailableError(absl::StrCat(folder, ": ", error.message())));
  } else if (found.empty()) {
    pictures.emplace_back(absl::NotFoundError(
        absl::StrCat(folder, ": no picture in this folder (.jpg .jpeg .png .webp)")));
  }
}

}  // namespace

std::vector<absl::StatusOr<std::string>> ExpandPictures(const std::vector<std::string>& arguments) {
  std::vector<absl::StatusOr<std::string>> pictures;
  for (const std::string& argument : arguments) {
    std::error_code error;
    if (argument != "-" && fs::is_directory(argument, error)) {
      WalkFolder(argument, pictures);
    } else {
      pictures.emplace_back(argument);
    }
  }
  return pictures;
}

std::string ReadStandardInput(const std::vector<absl::StatusOr<std::string>>& pictures,
                              std::istream& in) {
  const auto is_dash = [](const auto& name) { return name.ok() && *name == "-"; };
  if (std::ranges::none_of(pictures, is_dash)) return "";
  return std::string(std::istreambuf_iterator<char>(in), {});
}

absl::StatusOr<std::string> ReadPicture(const std::string& name,
                                        const std::string& standard_input) {
  if (name != "-") return core::ReadFile(name);
  return standard_input;
}

}  // namespace orchard::client
