#include "training/measure/evaluate.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include <torch/nn.h>

#include "core/status.h"
#include "model/encoder.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/mobilenet_v2.h"
#include "router/classification.h"
#include "router/options.h"
#include "router/profile.h"
#include "training/data/picture_store.h"
#include "training/measure/questions.h"
#include "training/measure/served.h"
#include "training/measure/served_encoder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

constexpr size_t kBins = 15;
constexpr double kTie = 1e-6;

/// A policy to be measured, under a name for people.
struct Measured {
  std::string name;
  router::Options options;
};

std::vector<Measured> OtherPolicies(size_t domains) {
  using moe::PolicyKind;
  std::vector<Measured> policies;
  const auto add = [&](const moe::Policy& policy, const std::string& argument = "") {
    const std::string kind(moe::Name(policy.kind));
    policies.push_back({.name = argument.empty() ? kind : absl::StrCat(kind, " ", argument),
                        .options = {.policy = policy}});
  };
  add({.kind = PolicyKind::kHard});
  for (const size_t k : {size_t{2}, size_t{3}}) {
    if (k < domains) add({.kind = PolicyKind::kTopK, .k = k}, absl::StrCat(k));
  }
  for (const double tau : {0.1, 0.01}) {
    add({.kind = PolicyKind::kThreshold, .tau = tau}, absl::StrCat(tau));
  }
  for (const double tau : {0.9, 0.99}) {
    add({.kind = PolicyKind::kNucleus, .tau = tau}, absl::StrCat(tau));
  }
  add({.kind = PolicyKind::kDense});
  return policies;
}

/// Names of what a picture shows, to compare answers with.
class Truth {
 public:
  Truth(const wire::ModelManifest& manifest, const Questions& questions) : questions_(questions) {
    for (const wire::ConceptAlias& alias : manifest.concepts()) {
      alias_[absl::StrCat(alias.domain(), "/", alias.label())] = alias.concept_label();
    }
  }

  const DomainClasses& Domain(size_t i) const {
    return questions_.domains[questions_.labels[i].domain];
  }
  const std::string& Class(size_t i) const { return Domain(i).classes[questions_.labels[i].label]; }
  std::string Concept(size_t i) const {
    const auto found = alias_.find(absl::StrCat(Domain(i).name, "/", Class(i)));
    return found == alias_.end() ? Class(i) : found->second;
  }
  // The data set's domains and classes are the model's, in its order (ReadKnownDataset).
  bool Right(size_t i, const router::Classification& answer) const {
    const moe::ClassProbability& first = answer.classes.front();
    return first.domain == questions_.labels[i].domain && first.label == questions_.labels[i].label;
  }
  bool BranchRight(size_t i, const router::Classification& answer) const {
    return answer.catalogue->branches[answer.routing.branch] == Domain(i).branch;
  }

 private:
  const Questions& questions_;
  std::map<std::string, std::string> alias_;
};

using Answers = std::vector<router::Classification>;

const std::string& FirstConcept(const router::Classification& answer) {
  return answer.catalogue->concepts[answer.concepts.front().concept_index];
}

double ExpertsAsked(const Answers& answers) {
  double asked = 0.0;
  for (const router::Classification& answer : answers) {
    asked += static_cast<double>(answer.routing.Activated());
  }
  return asked / static_cast<double>(answers.size());
}

PolicyReport MeasurePolicy(const std::string& name, const Answers& answers,
                           const Questions& questions, const Truth& truth) {
  PolicyReport report{.name = name, .right = {}};
  std::vector<Hits> domains(questions.domains.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    report.right.Count(truth.Right(i, answers[i]));
    domains[questions.labels[i].domain].Count(truth.Right(i, answers[i]));
  }
  report.mean = MeanShare(domains);
  report.experts = ExpertsAsked(answers);
  return report;
}

/// Whether the flat linear head names domain and class, a picture each; empty without such a head.
absl::StatusOr<std::vector<bool>> EncoderOnly(const fs::path& model,
                                              const wire::ModelManifest& manifest,
                                              const Questions& questions,
                                              const EvaluateOptions& options) {
  const fs::path file = model / "evaluation" / "encoder_only.safetensors";
  if (!fs::exists(file)) return std::vector<bool>{};
  ORCHARD_ASSIGN_OR_RETURN(const auto encoder,
                           model::Encoder::Load(model, manifest.encoder(), options.precision));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors, model::ReadSafetensors(file));
  torch::nn::Linear head(nets::kPooledWidth, static_cast<int64_t>(TotalClasses(questions.domains)));
  ORCHARD_RETURN_IF_ERROR(model::LoadState(*head, tensors, "", file.string()));
  const torch::NoGradGuard guard;
  std::vector<bool> right;
  std::vector<fs::path> files;  // Such a head is of a model whose pictures lie in folders.
  for (const Question& question : questions.known) files.push_back(question.file);
  constexpr size_t kChunk = 32;
  const vision::Profile profile = router::ProfileOf(manifest.encoder().preprocessing());
  for (size_t begin = 0; begin < files.size(); begin += kChunk) {
    const size_t rows = std::min(kChunk, files.size() - begin);
    const auto first = files.begin() + static_cast<std::ptrdiff_t>(begin);
    ORCHARD_ASSIGN_OR_RETURN(torch::Tensor pixels,
                             DecodeForServing({first, first + static_cast<std::ptrdiff_t>(rows)},
                                              profile, options.threads));
    ORCHARD_ASSIGN_OR_RETURN(const nets::EncoderFeatures features, EncodeServed(*encoder, pixels));
    const torch::Tensor best = head->forward(features.pooled).argmax(1);
    for (size_t i = 0; i < rows; ++i) {
      const auto answer = best[static_cast<int64_t>(i)].item<int64_t>();
      right.push_back(static_cast<size_t>(answer) ==
                      FlatIndex(questions.domains, questions.labels[begin + i]));
    }
  }
  return right;
}

void MeasureDomains(Report& report, const Questions& questions, const Truth& truth,
                    const Answers& routed, const Answers& pinned,
                    const std::vector<bool>& encoder_only) {
  for (const DomainClasses& domain : questions.domains) {
    report.domains.emplace_back().name = domain.name;
  }
  for (size_t i = 0; i < routed.size(); ++i) {
    DomainReport& domain = report.domains[questions.labels[i].domain];
    const bool right = truth.Right(i, routed[i]);
    domain.routed.Count(right);
    const bool expert_right = truth.Right(i, pinned[i]);
    domain.oracle.Count(expert_right);
    domain.gate1_oracle.Count(expert_right && truth.BranchRight(i, routed[i]));
    domain.routed_concept.Count(FirstConcept(routed[i]) == truth.Concept(i));
    if (encoder_only.empty()) continue;
    domain.encoder_only.Count(encoder_only[i]);
    Paired& paired = domain.routed_against_encoder_only;
    paired.only_first += right && !encoder_only[i] ? 1 : 0;
    paired.only_second += !right && encoder_only[i] ? 1 : 0;
    ++paired.total;
  }
  std::vector<Hits> strict, by_concept;
  for (const DomainReport& domain : report.domains) {
    strict.push_back(domain.routed);
    by_concept.push_back(domain.routed_concept);
  }
  report.mean = MeanShare(strict);
  report.mean_by_concept = MeanShare(by_concept);
}

/// Names what the means are not about.
void NameTheMissing(Report& report, const Questions& questions) {
  std::set<size_t> seen;
  for (const Label& label : questions.labels) seen.insert(FlatIndex(questions.domains, label));
  for (size_t g = 0; g < questions.domains.size(); ++g) {
    const DomainClasses& domain = questions.domains[g];
    if (report.domains[g].routed.total == 0) {
      report.domains_without_pictures.push_back(domain.name);
      continue;
    }
    for (size_t label = 0; label < domain.classes.size(); ++label) {
      if (seen.contains(FlatIndex(questions.domains, {.domain = g, .label = label}))) continue;
      report.classes_without_pictures.push_back(
          absl::StrCat(domain.name, "/", domain.classes[label]));
    }
  }
}

/// The most probable domain, in the model's order; of one branch's domains, or of all without one.
size_t MostProbable(const router::Routing& routing, const std::vector<DomainClasses>& domains,
                    const std::string& branch) {
  size_t most = domains.size();
  for (size_t g = 0; g < domains.size(); ++g) {
    if (!branch.empty() && domains[g].branch != branch) continue;
    const auto probability = [&](size_t d) { return routing.domains[d].log_probability; };
    if (most == domains.size() || probability(g) > probability(most)) most = g;
  }
  return most;
}

void MeasureGates(Report& report, const Questions& questions, const Truth& truth,
                  const Answers& answers) {
  for (size_t i = 0; i < answers.size(); ++i) {
    const router::Routing& routing = answers[i].routing;
    const size_t g = questions.labels[i].domain;
    const bool branch_right = truth.BranchRight(i, answers[i]);
    report.branch.Count(branch_right);
    report.domain.Count(MostProbable(routing, questions.domains, "") == g);
    if (!branch_right) continue;
    report.domain_in_branch.Count(
        MostProbable(routing, questions.domains, questions.domains[g].branch) == g);
  }
}

void MeasureCalibration(Report& report, const Truth& truth, const Answers& answers) {
  std::vector<double> confidence;
  std::vector<int> correct;
  for (size_t i = 0; i < answers.size(); ++i) {
    confidence.push_back(answers[i].classes.front().probability);
    correct.push_back(truth.Right(i, answers[i]) ? 1 : 0);
  }
  report.calibration_error = EqualMassCalibrationError(confidence, correct, kBins);
  report.calibration_error_width = EqualWidthCalibrationError(confidence, correct, kBins);
}

void MeasureUnknown(Report& report, const Answers& known, const Answers& unknown) {
  std::vector<double> of_known, of_unknown;
  for (const router::Classification& answer : known) {
    of_known.push_back(answer.unknown_score);
    report.known_accepted.Count(answer.outcome == moe::Outcome::kOk);
  }
  for (const router::Classification& answer : unknown) {
    of_unknown.push_back(answer.unknown_score);
    report.unknown_rejected.Count(answer.outcome != moe::Outcome::kOk);
  }
  report.has_unknown = !unknown.empty();
  if (!report.has_unknown) return;
  report.unknown_auroc = Auroc(of_known, of_unknown);
  report.unknown_fpr95 = FalsePositiveRateAt95(of_known, of_unknown);
}

bool SameFirst(const router::Classification& a, const router::Classification& b) {
  const moe::ClassProbability& x = a.classes.front();
  const moe::ClassProbability& y = b.classes.front();
  if (x.domain == y.domain && x.label == y.label) return true;
  return std::abs(x.probability - y.probability) < kTie;
}

/// Each picture's own domain, pinned.
std::vector<router::Options> PinnedToTruth(const Questions& questions) {
  std::vector<router::Options> options(questions.known.size());
  for (size_t i = 0; i < options.size(); ++i) {
    options[i].policy = {.kind = moe::PolicyKind::kPinned, .pinned = questions.labels[i].domain};
  }
  return options;
}

std::string DataText(const EvaluateOptions& options, size_t pictures) {
  if (options.split == "all") return absl::StrCat("all ", pictures, " pictures");
  return absl::StrCat(pictures, " pictures of the ", options.split, " split");
}

}  // namespace

absl::StatusOr<Report> EvaluateModel(const EvaluateOptions& options) {
  ORCHARD_ASSIGN_OR_RETURN(const fs::path folder, model::ResolveVersion(options.model));
  ORCHARD_ASSIGN_OR_RETURN(const auto served,
                           ServedModel::Load(folder, options.threads, options.precision));
  const wire::ModelManifest& manifest = served->manifest();
  ORCHARD_ASSIGN_OR_RETURN(
      const Questions questions,
      ReadQuestions(folder, manifest, options.data, options.split, options.threads));
  const Truth truth(manifest, questions);
  const std::vector<router::Options> by_default(1);
  ORCHARD_ASSIGN_OR_RETURN(const Answers routed, served->Classify(questions.known, by_default));
  ORCHARD_ASSIGN_OR_RETURN(const Answers pinned,
                           served->Classify(questions.known, PinnedToTruth(questions)));
  ORCHARD_ASSIGN_OR_RETURN(const Answers unknown, served->Classify(questions.unknown, by_default));
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<bool> encoder_only,
                           EncoderOnly(folder, manifest, questions, options));
  Report report;
  report.model = absl::StrCat(manifest.name(), "/", manifest.version());
  report.data = DataText(options, questions.known.size());
  report.left_out = questions.left_out;
  report.policy = wire::Policy_Name(router::ToWire(routed.front().routing.policy));
  report.all_experts = questions.domains.size();
  report.experts = ExpertsAsked(routed);
  MeasureDomains(report, questions, truth, routed, pinned, encoder_only);
  NameTheMissing(report, questions);
  MeasureGates(report, questions, truth, routed);
  MeasureCalibration(report, truth, routed);
  MeasureUnknown(report, routed, unknown);
  report.policies.push_back(MeasurePolicy("exact", routed, questions, truth));
  if (!options.other_policies) return report;
  for (const Measured& policy : OtherPolicies(questions.domains.size())) {
    ORCHARD_ASSIGN_OR_RETURN(
        const Answers answers,
        served->Classify(questions.known, std::span<const router::Options>(&policy.options, 1)));
    report.policies.push_back(MeasurePolicy(policy.name, answers, questions, truth));
    if (policy.name != "dense") continue;
    for (size_t i = 0; i < answers.size(); ++i) {
      report.exact_equals_dense.Count(SameFirst(routed[i], answers[i]));
    }
  }
  return report;
}

}  // namespace orchard::training
