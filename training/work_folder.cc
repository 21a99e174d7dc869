#include "training/work_folder.h"

#include <string>

#include "absl/strings/str_cat.h"
#include <google/protobuf/text_format.h>

#include "core/file_pieces.h"
#include "core/status.h"
#include "core/text.h"
#include "training/study.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

std::string TextOf(const v1::Recipe& recipe) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(recipe, &text);
  return text;
}

/// A run that began with one network must not go on with another one's share in it.
absl::Status CheckSameStart(const fs::path& work, const fs::path& start_from) {
  if (start_from.empty()) return absl::OkStatus();
  std::error_code error;
  if (!fs::exists(work / kStartHash, error)) {
    return absl::FailedPreconditionError(absl::StrCat(
        work.string(),
        " holds a run that began with the imported encoder; go on without --start-from"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::string before, core::ReadFile(work / kStartHash));
  ORCHARD_ASSIGN_OR_RETURN(const std::string now, core::Sha256OfFile(start_from / kFinal));
  if (before == now) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat((start_from / kFinal).string(), " is another network (SHA-256 ", now,
                   ") than the one that the run in ", work.string(), " began with (", before, ")"));
}

}  // namespace

absl::Status CheckWorkFolder(const v1::Recipe& recipe, const fs::path& work,
                             const FitOptions& options) {
  std::error_code error;
  const bool begun = fs::exists(work / kRecipe, error);
  if (options.resume && !begun) {
    return absl::NotFoundError(
        absl::StrCat(work.string(),
                     " holds no run to go on with; is --work right? Without --resume one begins"));
  }
  if (!fs::exists(work / kCheckpoint, error)) return absl::OkStatus();
  if (!options.resume) {
    return absl::FailedPreconditionError(absl::StrCat(
        (work / kCheckpoint).string(), " is there; give --resume to go on, or another --work"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::string before, core::ReadFile(work / kRecipe));
  if (before != TextOf(recipe)) {
    return absl::FailedPreconditionError(
        absl::StrCat((work / kRecipe).string(), " is another recipe than the one to go on with"));
  }
  return CheckSameStart(work, options.start_from);
}

absl::Status CheckStart(const fs::path& start_from, double start_share) {
  if (start_from.empty()) {
    if (start_share == 0.0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "masked_moe.start_share is ", start_share,
        ": say with --start-from (also with --resume) what the run begins with, or set it to 0"));
  }
  std::error_code error;
  for (const char* name : {kFinal, kRecipe}) {
    if (fs::exists(start_from / name, error)) continue;
    return absl::NotFoundError(absl::StrCat((start_from / name).string(),
                                            " is not there; --start-from wants the work folder of "
                                            "a finished run"));
  }
  return absl::OkStatus();
}

absl::Status BeginWorkFolder(const v1::Recipe& recipe, const fs::path& work,
                             const FitOptions& options) {
  std::error_code error;
  fs::create_directories(work, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat(work.string(), ": ", error.message()));
  }
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(work / kRecipe, TextOf(recipe)));
  if (options.start_from.empty()) return absl::OkStatus();
  ORCHARD_ASSIGN_OR_RETURN(const std::string start, core::ReadFile(options.start_from / kRecipe));
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(work / kStartRecipe, start));
  ORCHARD_ASSIGN_OR_RETURN(const std::string hash, core::Sha256OfFile(options.start_from / kFinal));
  return core::WriteFile(work / kStartHash, hash);
}

}  // namespace orchard::training
