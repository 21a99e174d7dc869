#include "training/measure/concepts.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"

namespace orchard::training {

std::vector<size_t> ConceptOfClass(const v1::Recipe& recipe,
                                   const std::vector<DomainClasses>& domains) {
  std::map<std::string, std::string> alias;
  for (const v1::Concept& shared : recipe.concepts()) {
    for (const std::string& member : shared.classes()) alias[member] = shared.label();
  }
  std::map<std::string, size_t> index;
  std::vector<size_t> concept_of;
  for (const DomainClasses& domain : domains) {
    for (const std::string& label : domain.classes) {
      const auto found = alias.find(absl::StrCat(domain.name, "/", label));
      const std::string& name = found == alias.end() ? label : found->second;
      concept_of.push_back(index.emplace(name, index.size()).first->second);
    }
  }
  return concept_of;
}

torch::Tensor SumByConcept(const torch::Tensor& joint, const std::vector<size_t>& concept_of) {
  std::vector<int64_t> index(concept_of.begin(), concept_of.end());
  const int64_t concepts = 1 + *std::max_element(index.begin(), index.end());
  return torch::zeros({joint.size(0), concepts})
      .index_add(1, torch::tensor(index, torch::kLong), joint.exp());
}

}  // namespace orchard::training
