#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "router/served_model.h"

namespace orchard::router {

/// The models that a router serves, by name. Immutable once made, hence thread-safe: what exchanges
/// a model while it is served (a reload, a canary) would begin here.
class ModelRegistry {
 public:
  using Model = std::shared_ptr<ServedModel>;

  /// At least one; each name once.
  explicit ModelRegistry(std::vector<Model> models);

  /// The model of that name; empty: the first. Errors: NOT_FOUND with the names that there are.
  absl::StatusOr<Model> Find(std::string_view name) const;

  /// In the order in which they were named.
  const std::vector<Model>& all() const { return models_; }
  const Model& first() const { return models_.front(); }

 private:
  std::vector<Model> models_;
};

}  // namespace orchard::router
