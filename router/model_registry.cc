#include "router/model_registry.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/text.h"

namespace orchard::router {
namespace {

constexpr size_t kShownBytes = 64;  // of what a caller takes for a name

}  // namespace

ModelRegistry::ModelRegistry(std::vector<Model> models) : models_(std::move(models)) {
  assert(!models_.empty());
}

absl::StatusOr<ModelRegistry::Model> ModelRegistry::Find(std::string_view name) const {
  if (name.empty()) return first();
  const auto found = std::ranges::find(
      models_, name, [](const Model& model) -> std::string_view { return model->name(); });
  if (found != models_.end()) return *found;
  std::vector<std::string> names;
  for (const Model& model : models_) names.push_back(model->name());
  return absl::NotFoundError(absl::StrCat("no model is called \"",
                                          std::string(core::CutAtCharacter(name, kShownBytes)),
                                          "\"; served here: ", absl::StrJoin(names, ", ")));
}

}  // namespace orchard::router
