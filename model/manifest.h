#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "moe/moe.h"
#include "orchard/v1/model.pb.h"

namespace orchard::model {

/// Reads `<version_dir>/manifest.json` (canonical proto3 JSON of v1::ModelManifest).
/// Errors name the file: NOT_FOUND, or INVALID_ARGUMENT with every fault at once. Unknown fields
/// are faults: a misspelt key must not become a default.
absl::StatusOr<v1::ModelManifest> ReadManifest(const std::filesystem::path& version_dir);

/// Writes it, readable and with keys in a fixed order. Errors: INVALID_ARGUMENT with every fault of
/// what no ReadManifest would take, and what was there is kept; UNAVAILABLE naming the file.
absl::Status WriteManifest(const std::filesystem::path& version_dir,
                           const v1::ModelManifest& manifest);

/// Every fault of the manifest's own statements (not of its files): missing fields, unknown
/// branches, repeated names, fingerprints that differ from the encoder's, temperatures that are not
/// positive, aliases of unknown labels, thresholds out of range, paths that leave the folder …
std::vector<std::string> Faults(const v1::ModelManifest& manifest);

/// Letters, digits, '_' and '-', at least one: what becomes a file name, a metric's label or part
/// of a tensor's name.
bool IsName(const std::string& text);

/// The tree of the manifest, by index; classes with an alias share its concept, others are their
/// own unless labels of two domains are equal: equal labels are one concept.
moe::Taxonomy TaxonomyOf(const v1::ModelManifest& manifest);

/// Names of the taxonomy's concepts, by concept index.
std::vector<std::string> ConceptNames(const v1::ModelManifest& manifest);

/// Names of the branches, in the taxonomy's order; without gates the one of the only expert, by the
/// name of its domain where it has none.
std::vector<std::string> BranchNames(const v1::ModelManifest& manifest);

/// Index of `domain` in manifest.experts; -1 when there is none.
int DomainIndex(const v1::ModelManifest& manifest, const std::string& domain);

/// "default/1".
std::string VersionName(const v1::ModelManifest& manifest);

}  // namespace orchard::model
