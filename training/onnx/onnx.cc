#include "training/onnx/onnx.h"

#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/status.h"
#include "core/text.h"
#include "model/manifest.h"
#include "model/part_network.h"
#include "model/store.h"
#include "nets/sparse/token_router.h"
#include "training/onnx/part_facts.h"
#include "training/onnx/recipe_networks.h"
#include "training/onnx/summary.h"
#include "training/onnx/translate.h"
#include "training/recipe.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

struct Model {
  orchard::v1::ModelManifest manifest;
  std::vector<model::PartNetwork> parts;
};

absl::StatusOr<Model> ReadModel(const fs::path& path) {
  ORCHARD_ASSIGN_OR_RETURN(const fs::path version, model::ResolveVersion(path));
  Model read;
  ORCHARD_ASSIGN_OR_RETURN(read.manifest, model::ReadManifest(version));
  ORCHARD_ASSIGN_OR_RETURN(read.parts, model::ReadPartNetworks(version, read.manifest));
  return read;
}

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(folder.string(), ": ", error.message()));
}

/// "experts/apple" → out/experts/apple.onnx
fs::path FileOf(const fs::path& out, const model::PartNetwork& part) {
  return out / absl::StrCat(part.name, ".onnx");
}

bool RoutesInside(const model::PartNetwork& part) {
  for (const auto& module : part.module->modules()) {
    if (module->as<nets::TokenRouterImpl>() != nullptr) return true;
  }
  return false;
}

absl::StatusOr<onnx::ModelProto> ReadOnnx(const fs::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(file));
  onnx::ModelProto model;
  if (!model.ParseFromString(bytes) || !model.has_graph()) {
    return absl::InvalidArgumentError(absl::StrCat(file.string(), ": is no ONNX model"));
  }
  return model;
}

absl::StatusOr<std::string> TextOf(const std::vector<model::PartNetwork>& parts, bool all) {
  std::string text;
  for (const model::PartNetwork& part : parts) {
    ORCHARD_ASSIGN_OR_RETURN(onnx::ModelProto onnx, TranslateToOnnx(part, {}));
    ORCHARD_ASSIGN_OR_RETURN(const std::string summary, SummaryText(std::move(onnx), all));
    absl::StrAppend(&text, text.empty() ? "" : "\n", summary);
    if (RoutesInside(part)) {
      absl::StrAppend(&text,
                      "experts inside run on every token here; as it is served, a token goes "
                      "through its own alone\n");
    }
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ExportOnnx(const fs::path& model, const fs::path& out, bool overwrite) {
  ORCHARD_ASSIGN_OR_RETURN(const Model read, ReadModel(model));
  for (const model::PartNetwork& part : read.parts) {
    std::error_code error;
    if (overwrite || !fs::exists(FileOf(out, part), error)) continue;
    return absl::AlreadyExistsError(
        absl::StrCat(FileOf(out, part).string(), " is there already; --overwrite replaces it"));
  }
  std::string text;
  for (const model::PartNetwork& part : read.parts) {
    ORCHARD_ASSIGN_OR_RETURN(const onnx::ModelProto onnx,
                             TranslateToOnnx(part, FactsOf(read.manifest, part)));
    const fs::path file = FileOf(out, part);
    ORCHARD_RETURN_IF_ERROR(MakeFolder(file.parent_path()));
    const std::string bytes = onnx.SerializeAsString();
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(file, bytes));
    absl::StrAppendFormat(&text, "%s (%s, %d steps)\n", file.string(),
                          core::HumanBytes(bytes.size()), onnx.graph().node_size());
  }
  return text;
}

absl::StatusOr<std::string> GraphText(const GraphOptions& options) {
  if (options.what.extension() == ".onnx") {
    ORCHARD_ASSIGN_OR_RETURN(onnx::ModelProto onnx, ReadOnnx(options.what));
    const auto text = SummaryText(std::move(onnx), options.all);
    if (!text.ok()) return core::Annotate(text.status(), options.what.string());
    return text;
  }
  if (options.what.extension() == ".textproto") {
    ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(options.what, {}));
    ORCHARD_ASSIGN_OR_RETURN(const auto parts, RecipeNetworks(recipe, options.classes));
    return TextOf(parts, options.all);
  }
  ORCHARD_ASSIGN_OR_RETURN(const Model read, ReadModel(options.what));
  return TextOf(read.parts, options.all);
}

}  // namespace orchard::training
