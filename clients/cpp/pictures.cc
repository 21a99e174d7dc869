#include "clients/cpp/pictures.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "core/passed_over.h"

namespace orchard::client {
namespace {

namespace fs = std::filesystem;

bool IsPictureName(const fs::path& path) {
  static constexpr std::array kExtensions = {".jpg", ".jpeg", ".png", ".webp"};
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

/// What one argument that is a folder stands for.
struct Walk {
  std::vector<std::string> found;
  std::vector<absl::Status> faults;

  void Enter(const std::string& folder) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
      if (!core::IsPassedOver(it->path())) See(*it);
    }
    // A folder that can't be read takes no other picture away, and is no secret.
    if (error) {
      faults.push_back(absl::UnavailableError(absl::StrCat(folder, ": ", error.message())));
    }
  }

  void See(const fs::directory_entry& entry) {
    std::error_code ignored;
    if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) {
      Enter(entry.path().string());
      return;
    }
    // A link that leads nowhere is worth a line, which reading it gives.
    const bool lost = entry.is_symlink(ignored) && !entry.exists(ignored);
    if (IsPictureName(entry.path()) && (entry.is_regular_file(ignored) || lost)) {
      found.push_back(entry.path().string());
    }
  }
};

void WalkFolder(const std::string& folder, std::vector<absl::StatusOr<std::string>>& pictures) {
  Walk walk;
  walk.Enter(folder);
  if (walk.found.empty() && walk.faults.empty()) {
    walk.faults.push_back(absl::NotFoundError(
        absl::StrCat(folder, ": no picture in this folder (.jpg .jpeg .png .webp)")));
  }
  std::ranges::sort(walk.found);
  std::ranges::move(walk.found, std::back_inserter(pictures));
  std::ranges::move(walk.faults, std::back_inserter(pictures));
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

PictureReader::PictureReader(const std::vector<absl::StatusOr<std::string>>& pictures,
                             std::istream& in, SizeLimit& limit, std::chrono::milliseconds patience)
    : limit_(limit), patience_(patience), standard_input_("") {
  const auto is_dash = [](const auto& name) { return name.ok() && *name == "-"; };
  if (std::ranges::any_of(pictures, is_dash)) standard_input_ = ReadPictureStream(in, limit);
}

absl::StatusOr<std::string> PictureReader::Read(const std::string& name) const {
  return name == "-" ? standard_input_ : ReadPictureFile(name, limit_, patience_);
}

}  // namespace orchard::client
