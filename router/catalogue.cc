#include "router/catalogue.h"

#include <numeric>

#include "model/manifest.h"

namespace orchard::router {

size_t Catalogue::TotalClasses() const {
  return std::accumulate(taxonomy.classes.begin(), taxonomy.classes.end(), size_t{0});
}

Catalogue CatalogueOf(const v1::ModelManifest& manifest) {
  Catalogue catalogue;
  catalogue.taxonomy = model::TaxonomyOf(manifest);
  catalogue.concepts = model::ConceptNames(manifest);
  catalogue.version = model::VersionName(manifest);
  catalogue.branches = model::BranchNames(manifest);
  for (const v1::ExpertPart& part : manifest.experts()) {
    catalogue.domains.push_back(part.domain());
    catalogue.classes.emplace_back(part.classes().begin(), part.classes().end());
  }
  const v1::Abstention& abstention = manifest.abstention();
  if (abstention.has_unknown_threshold()) {
    catalogue.thresholds.unknown = abstention.unknown_threshold();
  }
  if (abstention.has_confidence_threshold()) {
    catalogue.thresholds.confidence = abstention.confidence_threshold();
  }
  return catalogue;
}

}  // namespace orchard::router
