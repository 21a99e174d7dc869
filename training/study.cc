#include "training/study.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "training/recipe_checks.h"
#include "training/studies/fruit_nets/fit.h"
#include "training/studies/fruit_nets/measure.h"
#include "training/studies/fruit_nets/statements.h"
#include "training/studies/gates/export.h"
#include "training/studies/gates/fit.h"
#include "training/studies/gates/statements.h"
#include "training/studies/masked_moe/export.h"
#include "training/studies/masked_moe/fit.h"
#include "training/studies/masked_moe/statements.h"
#include "training/studies/vit_moe/export.h"
#include "training/studies/vit_moe/fit.h"
#include "training/studies/vit_moe/measure.h"
#include "training/studies/vit_moe/statements.h"

namespace orchard::training {

absl::Status CheckVersionFolder(const ExportOptions& options) {
  std::vector<std::string> faults;
  CheckName(options.name, "--name", faults);
  if (options.version.empty()) faults.emplace_back("--model-version is empty");
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  if (options.overwrite || !std::filesystem::exists(options.out / "manifest.json")) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      absl::StrCat(options.out.string(), " holds a model; give --overwrite or another --out"));
}

const std::vector<Study>& Studies() {
  static const auto& studies = *new std::vector<Study>{
      {.name = "masked_moe",
       .faults = &MaskedMoeFaults,
       .fit = &Fit,
       .needs_weights = true,
       .write_model = &Export,
       .export_needs_weights = true,
       .measure = nullptr},
      {.name = "vit_moe",
       .faults = &VitMoeFaults,
       .fit = &FitVitMoe,
       .needs_weights = false,
       .write_model = &ExportVitMoe,
       .measure = &MeasureVitMoe},
      {.name = "gates",
       .faults = &GatesFaults,
       .fit = &FitGates,
       .needs_weights = true,
       .write_model = &ExportGates,
       .takes_experts = true,
       .measure = nullptr},
      {.name = "fruit_nets",
       .faults = &FruitNetsFaults,
       .fit = &FitFruitNets,
       .needs_weights = false,  // Fit asks for them where a recipe begins with a pretrained trunk.
       .write_model = nullptr,
       .measure = &MeasureFruitNets},
  };
  return studies;
}

absl::StatusOr<const Study*> StudyOf(const v1::Recipe& recipe) {
  const auto& reflection = *recipe.GetReflection();
  const auto* field = reflection.GetOneofFieldDescriptor(
      recipe, v1::Recipe::descriptor()->FindOneofByName("study"));
  std::vector<std::string> known;
  for (const Study& study : Studies()) {
    if (field != nullptr && field->name() == study.name) return &study;
    known.emplace_back(study.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("study: none is named; known: ", absl::StrJoin(known, ", ")));
}

}  // namespace orchard::training
