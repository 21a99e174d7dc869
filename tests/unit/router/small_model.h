#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "orchard/v1/model.pb.h"
#include "router/catalogue.h"

/// \file
/// A model of three domains, as the router talks about it; no weights.

namespace orchard::router::testing {

/// rice_disease {blast, healthy} in `disease`; fruit {apple, carrot, pear} and vegetable {carrot,
/// tomato} in `non_disease`.
enum SmallDomain : size_t { kRiceDisease, kFruit, kVegetable, kSmallDomains };

inline v1::ModelManifest SmallManifest() {
  v1::ModelManifest manifest;
  manifest.set_name("small");
  manifest.set_version("7");
  manifest.mutable_encoder()->set_fingerprint("0123456789abcdef");
  manifest.mutable_gates()->add_branches("disease");
  manifest.mutable_gates()->add_branches("non_disease");
  const auto add = [&](const std::string& domain, const std::string& branch,
                       const std::vector<std::string>& classes) {
    v1::ExpertPart& part = *manifest.add_experts();
    part.set_domain(domain);
    part.set_branch(branch);
    part.mutable_file()->set_version(domain + "-1");
    for (const std::string& name : classes) part.add_classes(name);
  };
  add("rice_disease", "disease", {"blast", "healthy"});
  add("fruit", "non_disease", {"apple", "carrot", "pear"});
  add("vegetable", "non_disease", {"carrot", "tomato"});
  manifest.mutable_abstention()->set_unknown_threshold(-10.0);
  manifest.mutable_abstention()->set_confidence_threshold(0.3);
  return manifest;
}

inline Catalogue SmallCatalogue() { return CatalogueOf(SmallManifest()); }

/// log p of each.
inline std::vector<double> Logs(const std::vector<double>& probabilities) {
  std::vector<double> logs;
  logs.reserve(probabilities.size());
  for (const double p : probabilities) logs.push_back(std::log(p));
  return logs;
}

}  // namespace orchard::router::testing
