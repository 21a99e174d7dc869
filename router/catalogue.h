#pragma once

#include <string>
#include <vector>

#include "moe/abstain.h"
#include "moe/moe.h"
#include "orchard/v1/model.pb.h"

namespace orchard::router {

/// The model as the router talks about it: names and structure, by index, without weights.
/// Immutable once made.
struct Catalogue {
  moe::Taxonomy taxonomy;
  std::vector<std::string> branches;
  std::vector<std::string> domains;
  std::vector<std::vector<std::string>> classes;  ///< [G][C_g]
  std::vector<std::string> concepts;              ///< by concept index
  moe::Thresholds thresholds;
  std::string version;  ///< "default/1"

  /// Over all domains.
  size_t TotalClasses() const;
};

/// From a manifest without faults.
Catalogue CatalogueOf(const v1::ModelManifest& manifest);

}  // namespace orchard::router
