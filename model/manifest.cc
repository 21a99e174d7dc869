#include "model/manifest.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "core/text.h"
#include "model/internal/json.h"

namespace orchard::model {
namespace {

constexpr const char* kFile = "manifest.json";

/// Concepts in the order in which the classes name them first.
struct Concepts {
  std::vector<std::string> names;
  std::vector<std::vector<size_t>> of;  // [G][C_g]
};

Concepts ConceptsOf(const v1::ModelManifest& manifest) {
  std::map<std::pair<std::string, std::string>, std::string> alias;
  for (const v1::ConceptAlias& entry : manifest.concepts()) {
    alias[{entry.domain(), entry.label()}] = entry.concept_label();
  }
  std::map<std::string, size_t> index;
  Concepts concepts;
  for (const v1::ExpertPart& expert : manifest.experts()) {
    std::vector<size_t>& of = concepts.of.emplace_back();
    for (const std::string& label : expert.classes()) {
      const auto found = alias.find({expert.domain(), label});
      const std::string& name = found == alias.end() ? label : found->second;
      const auto [at, is_new] = index.emplace(name, concepts.names.size());
      if (is_new) concepts.names.push_back(name);
      of.push_back(at->second);
    }
  }
  return concepts;
}

}  // namespace

absl::StatusOr<v1::ModelManifest> ReadManifest(const std::filesystem::path& version_dir) {
  const std::string file = version_dir / kFile;
  ORCHARD_ASSIGN_OR_RETURN(const std::string json, core::ReadFile(file));
  v1::ModelManifest manifest;
  ORCHARD_RETURN_IF_ERROR(internal::FromJson(json, file, manifest));
  const std::vector<std::string> faults = Faults(manifest);
  if (faults.empty()) return manifest;
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", absl::StrJoin(faults, "; ")));
}

absl::Status WriteManifest(const std::filesystem::path& version_dir,
                           const v1::ModelManifest& manifest) {
  const std::vector<std::string> faults = Faults(manifest);
  if (!faults.empty()) {
    return absl::InvalidArgumentError(absl::StrCat((version_dir / kFile).string(),
                                                   ": not written: ", absl::StrJoin(faults, "; ")));
  }
  return core::WriteFile(version_dir / kFile,
                         internal::ToJson(manifest, internal::Layout::kReadable));
}

moe::Taxonomy TaxonomyOf(const v1::ModelManifest& manifest) {
  Concepts concepts = ConceptsOf(manifest);
  const std::vector<std::string> branches = BranchNames(manifest);
  moe::Taxonomy taxonomy;
  for (const v1::ExpertPart& expert : manifest.experts()) {
    const auto branch = std::find(branches.begin(), branches.end(), expert.branch());
    const bool only = !manifest.has_gates();
    taxonomy.branch_of.push_back(only ? 0 : static_cast<size_t>(branch - branches.begin()));
    taxonomy.classes.push_back(static_cast<size_t>(expert.classes_size()));
  }
  taxonomy.branches = branches.size();
  taxonomy.concepts = concepts.names.size();
  taxonomy.concept_of = std::move(concepts.of);
  return taxonomy;
}

std::vector<std::string> ConceptNames(const v1::ModelManifest& manifest) {
  return ConceptsOf(manifest).names;
}

std::vector<std::string> BranchNames(const v1::ModelManifest& manifest) {
  if (manifest.has_gates()) {
    return {manifest.gates().branches().begin(), manifest.gates().branches().end()};
  }
  if (manifest.experts().empty()) return {};
  const v1::ExpertPart& only = manifest.experts(0);
  return {only.branch().empty() ? only.domain() : only.branch()};
}

int DomainIndex(const v1::ModelManifest& manifest, const std::string& domain) {
  for (int i = 0; i < manifest.experts_size(); ++i) {
    if (manifest.experts(i).domain() == domain) return i;
  }
  return -1;
}

std::string VersionName(const v1::ModelManifest& manifest) {
  return absl::StrCat(manifest.name(), "/", manifest.version());
}

}  // namespace orchard::model
