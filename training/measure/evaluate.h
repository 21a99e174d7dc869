#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "model/encoder.h"
#include "training/data/dataset.h"
#include "training/measure/hits.h"
#include "training/measure/statistics.h"

namespace orchard::training {

/// One domain's pictures, answered five ways.
struct DomainReport {
  std::string name;
  Hits encoder_only;    ///< the flat linear head; without one: no trials
  Hits oracle;          ///< the expert alone, given the true domain (policy PINNED)
  Hits gate1_oracle;    ///< Gate1's branch and the expert, given the true domain: both right
  Hits routed;          ///< end to end with the default policy: domain and class right
  Hits routed_concept;  ///< end to end: the best concept is right
  Paired routed_against_encoder_only;
};

/// What a policy costs and brings.
struct PolicyReport {
  std::string name;      ///< with its parameter, for example "top_k 2"
  Hits right;            ///< domain and class, all pictures
  double mean = 0.0;     ///< mean of the domains' accuracies
  double experts = 0.0;  ///< asked per picture
};

/// What `orchard-train eval` found.
struct Report {
  std::string model, data, policy;
  size_t left_out = 0;  ///< pictures of the folder that the split leaves out
  std::vector<DomainReport> domains;
  std::vector<std::string> domains_without_pictures;  ///< left out of the means
  std::vector<std::string> classes_without_pictures;  ///< "<domain>/<class>", of the other domains
  std::vector<PolicyReport> policies;
  Hits branch;            ///< Gate1's most probable branch is right
  Hits domain;            ///< Gate1 and Gate2 together: the most probable domain is right
  Hits domain_in_branch;  ///< Gate2 alone, among pictures whose branch Gate1 got right
  double mean = 0.0;      ///< of the domains' routed accuracies, domains with pictures
  double mean_by_concept = 0.0;
  double experts = 0.0;                  ///< asked per picture, default policy
  size_t all_experts = 0;                ///< what DENSE asks
  double calibration_error = 0.0;        ///< of the joint, 15 equal-mass bins
  double calibration_error_width = 0.0;  ///< the same, 15 bins of equal width
  Hits exact_equals_dense;               ///< first classes; ties below 1e-6 count as equal
  Hits known_accepted;                   ///< outcome OK
  bool has_unknown = false;              ///< whether the three figures below were measured
  Hits unknown_rejected;                 ///< either outcome
  double unknown_auroc = 0.0;
  double unknown_fpr95 = 0.0;  ///< unknown accepted where 95 % of known are, by the score
};

struct EvaluateOptions {
  std::filesystem::path model;  ///< a version folder, or a folder of versions
  std::filesystem::path data;
  std::string split = "validation";  ///< or "train", "test", "all"
  model::EncoderPrecision precision = model::EncoderPrecision::kAuto;
  size_t threads = 2;
  bool other_policies = true;  ///< false: without what takes seven more passes over the pictures
};

/// Runs the pictures of a split through the router's own pipeline, all experts in process. The data
/// may lack classes and domains of the model; a domain without pictures is left out of the means.
/// Says on stderr how many pictures the split leaves out, and with "all" how many were trained on.
/// Errors: INVALID_ARGUMENT when the data has folders that are not the model's, the split has no
/// picture, or a split is asked of a model without evaluation/recipe.textproto; those of
/// router::Engine::Load; a picture that the pipeline refuses, named.
absl::StatusOr<Report> EvaluateModel(const EvaluateOptions& options);

}  // namespace orchard::training
