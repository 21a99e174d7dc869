#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "absl/status/status.h"

#include "orchard/training/v1/recipe.pb.h"

namespace orchard::training {

// Files of a work folder.
inline constexpr const char* kCheckpoint = "checkpoint.safetensors";  ///< after every epoch
inline constexpr const char* kBest = "best.safetensors";    ///< the network of the best validation
inline constexpr const char* kFinal = "final.safetensors";  ///< the finished network
inline constexpr const char* kHistory = "history.jsonl";    ///< an epoch a line
inline constexpr const char* kRecipe = "recipe.textproto";  ///< with overrides applied
inline constexpr const char* kStartRecipe = "start_recipe.textproto";  ///< of the run begun with
inline constexpr const char* kStartHash = "start.sha256";              ///< of its kFinal
inline constexpr const char* kSplit = "split.tsv";                     ///< who is on which side
inline constexpr const char* kRunId = "run_id.txt";  ///< in the run log, and how many pieces
inline constexpr const char* kUnsentLog = "run_log_unsent.sqlite";  ///< what it did not take

struct FitOptions;

/// Where a run reads and writes.
struct RunPlaces {
  std::filesystem::path data;     ///< folders of pictures
  std::filesystem::path weights;  ///< of the imported encoder
  std::filesystem::path work;     ///< everything that the run writes
  size_t threads = 2;
  std::string device = "cpu";  ///< of fit: what ParseDevice takes; export computes on the CPU
};

/// Whether a run may begin or go on in `work`; nothing is changed. Errors: FAILED_PRECONDITION when
/// there is a checkpoint and it is not to be resumed, or a run of another recipe, or one that began
/// with another network than `options.start_from`; NOT_FOUND when there is no run to resume.
absl::Status CheckWorkFolder(const v1::Recipe& recipe, const std::filesystem::path& work,
                             const FitOptions& options);

/// Whether `start_from` is a finished run's folder, or empty and not needed: what a run begins with
/// is read again in the end, hours later. Errors: INVALID_ARGUMENT when `start_share` wants one;
/// NOT_FOUND naming what is missing.
absl::Status CheckStart(const std::filesystem::path& start_from, double start_share);

/// Makes the folder and writes what CheckWorkFolder will ask for: the recipe, and of what the run
/// begins with the recipe and the hash. Errors: UNAVAILABLE naming the file.
absl::Status BeginWorkFolder(const v1::Recipe& recipe, const std::filesystem::path& work,
                             const FitOptions& options);

}  // namespace orchard::training
