#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "training/work_folder.h"

namespace orchard::training {

class RunLog;

struct FitOptions {
  bool resume = false;  ///< go on from the work folder's checkpoint
  /// Another run's work folder, to begin with its network. Empty: begin with the imported encoder.
  std::filesystem::path start_from = {};
  size_t stop_after = 0;    ///< epochs of the recipe's after which to stop for now; 0: none
  double time_limit = 0.0;  ///< seconds; stops with the last epoch that fits, for now; 0: none
  RunLog* log = nullptr;    ///< where the run's history goes; null: nowhere
};

struct ExportOptions {
  std::filesystem::path out;     ///< the version folder, for example models/default/1
  std::string name = "default";  ///< of the model
  std::string version = "1";
  bool overwrite = false;
  std::vector<std::string> experts = {};  ///< finished ones, DOMAIN=MODEL each
};

struct MeasureOptions {
  std::string split = "validation";  ///< train, validation or test
  std::string network = "best";      ///< best or final
  bool judge_routers = true;  ///< false: without what takes many more passes over the pictures
  bool json = false;          ///< one JSON object on stdout instead of text
};

/// Whether a model may be written to `options.out`, before any work. Errors: INVALID_ARGUMENT when
/// no server would take its name or version; ALREADY_EXISTS when the folder holds a manifest that
/// is not to be replaced.
absl::Status CheckVersionFolder(const ExportOptions& options);

/// One kind of training: everything that is special to it. Data, loop, measurement and log know
/// none of them (training/{data,loop,measure,log}).
struct Study {
  std::string_view name;  ///< of its field in Recipe's `study`

  /// Every fault of what a recipe says of it.
  std::vector<std::string> (*faults)(const v1::Recipe& recipe);

  absl::Status (*fit)(const v1::Recipe& recipe, const RunPlaces& places, const FitOptions& options);

  bool needs_weights;  ///< whether fit begins with a pretrained encoder (--weights)

  /// Of the finished run in `places.work`. Null: there is nothing that serves such a network yet.
  absl::Status (*write_model)(const RunPlaces& places, const ExportOptions& options);

  bool export_needs_weights = false;  ///< whether write_model reads that encoder again
  bool takes_experts = false;         ///< whether write_model takes ExportOptions::experts

  /// Measures a run's network before it is a model. Null: `eval` of its model does.
  absl::Status (*measure)(const RunPlaces& places, const MeasureOptions& options);
};

/// Every study, in a fixed order.
const std::vector<Study>& Studies();

/// The recipe's. Errors: INVALID_ARGUMENT with the known ones when it names none.
absl::StatusOr<const Study*> StudyOf(const v1::Recipe& recipe);

}  // namespace orchard::training
