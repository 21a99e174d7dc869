#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "model/manifest.h"

namespace orchard::model {
namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr double kRoutingTolerance = 1e-3;  // of a sum of rounded shares

/// Collects faults, each behind the place where it is.
class Collector {
 public:
  /// Notes `place`: `what` unless `good`.
  void Expect(bool good, const std::string& place, const std::string& what) {
    if (!good) faults_.push_back(absl::StrCat(place, ": ", what));
  }
  std::vector<std::string> Take() { return std::move(faults_); }

 private:
  std::vector<std::string> faults_;
};

bool IsLowerHex(const std::string& text, size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

bool IsPositive(double value) { return std::isfinite(value) && value > 0.0; }

bool Contains(const Texts& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

std::string Quoted(const std::string& text) { return absl::StrCat("\"", text, "\""); }

/// Empty texts and texts given twice.
void CheckUnique(const Texts& texts, const std::string& place, Collector& faults) {
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    faults.Expect(!text.empty(), place, "an empty name");
    faults.Expect(seen.insert(text).second, place, absl::StrCat(Quoted(text), " is given twice"));
  }
}

void CheckFile(const v1::PartFile& file, const std::string& place, Collector& faults) {
  const std::filesystem::path path(file.path());
  const bool inside = !path.empty() && path.is_relative() &&
                      std::ranges::none_of(path, [](const auto& step) { return step == ".."; });
  faults.Expect(inside, place + ".file.path",
                absl::StrCat(Quoted(file.path()), " must be relative and stay in the folder"));
  faults.Expect(IsLowerHex(file.sha256(), 64), place + ".file.sha256",
                absl::StrCat(Quoted(file.sha256()), " must be 64 lower-case hex digits"));
  const bool known =
      file.format() == v1::SAFETENSORS || file.format() == v1::PART_FORMAT_UNSPECIFIED;
  faults.Expect(known, place + ".file.format",
                absl::StrCat(static_cast<int>(file.format()), " is unknown; known: SAFETENSORS"));
}

void CheckArchitecture(const v1::Architecture& architecture, const std::string& place,
                       Collector& faults) {
  if (!architecture.has_network()) {
    faults.Expect(!architecture.name().empty(), place + ".architecture.name", "is missing");
    return;
  }
  faults.Expect(architecture.name().empty() && architecture.arguments().empty(),
                place + ".architecture", "has both a network and a name");
}

void CheckPreprocessing(const v1::Preprocessing& preprocessing, const std::string& place,
                        Collector& faults) {
  faults.Expect(preprocessing.crop() > 0 && preprocessing.crop() <= preprocessing.shorter_side(),
                place,
                absl::StrCat("crop ", preprocessing.crop(), " must be in [1, shorterSide ",
                             preprocessing.shorter_side(), "]"));
  faults.Expect(v1::Framing_IsValid(preprocessing.framing()), place + ".framing",
                absl::StrCat(static_cast<int>(preprocessing.framing()), " is unknown"));
  faults.Expect(preprocessing.framing() != v1::WHOLE_PICTURE ||
                    preprocessing.shorter_side() == preprocessing.crop(),
                place,
                absl::StrCat("shorterSide ", preprocessing.shorter_side(), " must be crop ",
                             preprocessing.crop(), " with WHOLE_PICTURE"));
  const auto& mean = preprocessing.mean();
  const auto& std = preprocessing.std();
  faults.Expect(
      mean.size() == 3 && std::ranges::all_of(mean, [](float v) { return std::isfinite(v); }),
      place + ".mean", "must be 3 finite numbers");
  faults.Expect(std.size() == 3 && std::ranges::all_of(std, IsPositive), place + ".std",
                "must be 3 positive numbers");
}

void CheckEncoder(const v1::EncoderPart& encoder, Collector& faults) {
  CheckArchitecture(encoder.architecture(), "encoder", faults);
  CheckFile(encoder.file(), "encoder", faults);
  CheckPreprocessing(encoder.preprocessing(), "encoder.preprocessing", faults);
  faults.Expect(IsLowerHex(encoder.fingerprint(), 16), "encoder.fingerprint",
                absl::StrCat(Quoted(encoder.fingerprint()), " must be 16 lower-case hex digits"));
  std::set<v1::FeatureKind> kinds;
  for (const v1::FeatureSpec& feature : encoder.features()) {
    const std::string name = v1::FeatureKind_Name(feature.kind());
    faults.Expect(feature.kind() == v1::POOLED || feature.kind() == v1::MAP, "encoder.features",
                  absl::StrCat("kind ", name, " is not one that an encoder gives"));
    faults.Expect(kinds.insert(feature.kind()).second, "encoder.features",
                  absl::StrCat("kind ", name, " is given twice"));
    const bool shaped = feature.shape_size() > 0 &&
                        std::ranges::all_of(feature.shape(), [](auto d) { return d > 0; });
    faults.Expect(shaped, "encoder.features",
                  absl::StrCat("shape of ", name, " must be positive numbers"));
  }
}

/// A part trained on another encoder reads noise.
void CheckFingerprint(const std::string& fingerprint, const v1::ModelManifest& manifest,
                      const std::string& place, Collector& faults) {
  faults.Expect(fingerprint == manifest.encoder().fingerprint(), place + ".encoderFingerprint",
                absl::StrCat(Quoted(fingerprint), " is not the encoder's, ",
                             Quoted(manifest.encoder().fingerprint())));
}

void CheckGates(const v1::ModelManifest& manifest, Collector& faults) {
  const v1::GatesPart& gates = manifest.gates();
  CheckArchitecture(gates.architecture(), "gates", faults);
  CheckFile(gates.file(), "gates", faults);
  CheckFingerprint(gates.encoder_fingerprint(), manifest, "gates", faults);
  CheckUnique(gates.branches(), "gates.branches", faults);
  faults.Expect(gates.branches_size() > 0, "gates.branches", "is empty");
  for (const std::string& branch : gates.branches()) {
    faults.Expect(IsName(branch), "gates.branches",
                  absl::StrCat(Quoted(branch), " must be letters, digits, '_' and '-'"));
    const bool used = std::ranges::any_of(manifest.experts(),
                                          [&](const auto& e) { return e.branch() == branch; });
    faults.Expect(used, "gates.branches", absl::StrCat(Quoted(branch), " has no domain"));
  }
  faults.Expect(IsPositive(gates.branch_temperature()), "gates.branchTemperature",
                absl::StrCat(gates.branch_temperature(), " must be positive"));
  faults.Expect(gates.domain_temperatures_size() == gates.branches_size(),
                "gates.domainTemperatures",
                absl::StrCat("has ", gates.domain_temperatures_size(), " entries for ",
                             gates.branches_size(), " branches"));
  for (const double temperature : gates.domain_temperatures()) {
    faults.Expect(IsPositive(temperature), "gates.domainTemperatures",
                  absl::StrCat(temperature, " must be positive"));
  }
  faults.Expect(!gates.has_unknown_score() || !gates.unknown_score().kind().empty(),
                "gates.unknownScore.kind", "is missing");
}

/// A model of one expert, which needs nobody to choose it.
void CheckWithoutGates(const v1::ModelManifest& manifest, Collector& faults) {
  faults.Expect(manifest.experts_size() <= 1, "gates",
                absl::StrCat("are missing: ", manifest.experts_size(),
                             " experts need gates to choose between them"));
}

bool IsOffered(const v1::EncoderPart& encoder, v1::FeatureKind kind) {
  return std::ranges::any_of(encoder.features(),
                             [kind](const auto& feature) { return feature.kind() == kind; });
}

/// Whether anything reads what the encoder gives.
bool NeedsEncoder(const v1::ModelManifest& manifest) {
  return manifest.has_gates() || std::ranges::any_of(manifest.experts(), [](const auto& expert) {
           return expert.feature_kind() != v1::IMAGE;
         });
}

/// Features of the encoder that it was trained on, or pictures, made its own way.
void CheckWhatItReads(const v1::ExpertPart& expert, const v1::ModelManifest& manifest,
                      const std::string& place, Collector& faults) {
  if (expert.feature_kind() == v1::IMAGE) {
    faults.Expect(expert.has_preprocessing(), place + ".preprocessing",
                  "is missing: an expert on IMAGE says how pictures become its input");
    if (expert.has_preprocessing()) {
      CheckPreprocessing(expert.preprocessing(), place + ".preprocessing", faults);
    }
    faults.Expect(expert.encoder_fingerprint().empty(), place + ".encoderFingerprint",
                  "must be empty: an expert on IMAGE reads nothing of the encoder");
    return;
  }
  CheckFingerprint(expert.encoder_fingerprint(), manifest, place, faults);
  faults.Expect(!expert.has_preprocessing(), place + ".preprocessing",
                "must be absent: only an expert on IMAGE has its own");
  faults.Expect(
      IsOffered(manifest.encoder(), expert.feature_kind()), place + ".featureKind",
      absl::StrCat(v1::FeatureKind_Name(expert.feature_kind()), " is not one of encoder.features"));
}

void CheckExpert(const v1::ExpertPart& expert, const v1::ModelManifest& manifest,
                 Collector& faults) {
  const std::string place = absl::StrCat("experts[", expert.domain(), "]");
  faults.Expect(IsName(expert.domain()), place + ".domain", "must be letters, digits, '_' and '-'");
  if (manifest.has_gates()) {
    faults.Expect(Contains(manifest.gates().branches(), expert.branch()), place + ".branch",
                  absl::StrCat(Quoted(expert.branch()), " is not one of gates.branches: ",
                               absl::StrJoin(manifest.gates().branches(), ", ")));
  } else {
    faults.Expect(expert.branch().empty() || IsName(expert.branch()), place + ".branch",
                  absl::StrCat(Quoted(expert.branch()), " must be letters, digits, '_' and '-'"));
  }
  CheckArchitecture(expert.architecture(), place, faults);
  CheckFile(expert.file(), place, faults);
  CheckWhatItReads(expert, manifest, place, faults);
  CheckUnique(expert.classes(), place + ".classes", faults);
  faults.Expect(expert.classes_size() >= 2, place + ".classes",
                absl::StrCat("has ", expert.classes_size(), " entries, needs at least 2"));
  faults.Expect(IsPositive(expert.temperature()), place + ".temperature",
                absl::StrCat(expert.temperature(), " must be positive"));
}

void CheckExperts(const v1::ModelManifest& manifest, Collector& faults) {
  faults.Expect(manifest.experts_size() > 0, "experts", "is empty");
  std::set<std::string> domains;
  for (const v1::ExpertPart& expert : manifest.experts()) {
    CheckExpert(expert, manifest, faults);
    faults.Expect(domains.insert(expert.domain()).second, "experts",
                  absl::StrCat("domain ", Quoted(expert.domain()), " is given twice"));
  }
}

void CheckConcepts(const v1::ModelManifest& manifest, Collector& faults) {
  std::set<std::string> seen;
  for (const v1::ConceptAlias& alias : manifest.concepts()) {
    const std::string place = absl::StrCat("concepts[", alias.domain(), "/", alias.label(), "]");
    const int domain = DomainIndex(manifest, alias.domain());
    faults.Expect(domain >= 0, place, absl::StrCat("no domain ", Quoted(alias.domain())));
    faults.Expect(domain < 0 || Contains(manifest.experts(domain).classes(), alias.label()), place,
                  absl::StrCat("no class ", Quoted(alias.label()), " in that domain"));
    faults.Expect(!alias.concept_label().empty(), place, "conceptLabel is missing");
    faults.Expect(seen.insert(place).second, place, "is given twice");
  }
}

void CheckAbstention(const v1::ModelManifest& manifest, Collector& faults) {
  const v1::Abstention& abstention = manifest.abstention();
  faults.Expect(!abstention.has_unknown_threshold() || manifest.gates().has_unknown_score(),
                "abstention.unknownThreshold", "has no gates.unknownScore to be held against");
  faults.Expect(
      !abstention.has_unknown_threshold() || std::isfinite(abstention.unknown_threshold()),
      "abstention.unknownThreshold", "must be finite");
  const double confidence = abstention.confidence_threshold();
  faults.Expect(confidence >= 0.0 && confidence <= 1.0, "abstention.confidenceThreshold",
                absl::StrCat(confidence, " must be in [0, 1]"));
}

void CheckRouting(const v1::ModelManifest& manifest, Collector& faults) {
  const auto& routing = manifest.reference_routing();
  if (routing.empty()) return;  // No reference, no drift figures.
  faults.Expect(
      routing.size() == manifest.experts_size(), "referenceRouting",
      absl::StrCat("has ", routing.size(), " entries for ", manifest.experts_size(), " experts"));
  double sum = 0.0;
  bool natural = true;
  for (const double share : routing) {
    sum += share;
    natural = natural && share >= 0.0;
  }
  faults.Expect(natural && std::abs(sum - 1.0) <= kRoutingTolerance, "referenceRouting",
                absl::StrCat("sums to ", sum, ", must be shares that sum to 1"));
}

void CheckProportion(const v1::Proportion& proportion, const std::string& place,
                     Collector& faults) {
  faults.Expect(proportion.hits() <= proportion.total(), place,
                absl::StrCat(proportion.hits(), " hits of ", proportion.total()));
}

void CheckEvaluation(const v1::ModelManifest& manifest, Collector& faults) {
  const v1::Evaluation& evaluation = manifest.evaluation();
  CheckProportion(evaluation.branch(), "evaluation.branch", faults);
  CheckProportion(evaluation.domain(), "evaluation.domain", faults);
  CheckProportion(evaluation.domain_in_branch(), "evaluation.domainInBranch", faults);
  CheckProportion(evaluation.unknown_rejected(), "evaluation.unknownRejected", faults);
  CheckProportion(evaluation.known_accepted(), "evaluation.knownAccepted", faults);
  for (const v1::DomainEvaluation& domain : evaluation.domains()) {
    const std::string place = absl::StrCat("evaluation.domains[", domain.domain(), "]");
    faults.Expect(DomainIndex(manifest, domain.domain()) >= 0, place, "is not a domain");
    CheckProportion(domain.encoder_only(), place + ".encoderOnly", faults);
    CheckProportion(domain.oracle(), place + ".oracle", faults);
    CheckProportion(domain.gate1_oracle(), place + ".gate1Oracle", faults);
    CheckProportion(domain.routed(), place + ".routed", faults);
    CheckProportion(domain.routed_concept(), place + ".routedConcept", faults);
  }
}

}  // namespace

bool IsName(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
}

std::vector<std::string> Faults(const v1::ModelManifest& manifest) {
  Collector faults;
  faults.Expect(IsName(manifest.name()), "name",
                absl::StrCat(Quoted(manifest.name()), " must be letters, digits, '_' and '-'"));
  faults.Expect(!manifest.version().empty(), "version", "is missing");
  if (manifest.has_encoder() || NeedsEncoder(manifest)) CheckEncoder(manifest.encoder(), faults);
  if (manifest.has_gates()) {
    CheckGates(manifest, faults);
  } else {
    CheckWithoutGates(manifest, faults);
  }
  CheckExperts(manifest, faults);
  CheckConcepts(manifest, faults);
  CheckAbstention(manifest, faults);
  CheckRouting(manifest, faults);
  CheckEvaluation(manifest, faults);
  return faults.Take();
}

}  // namespace orchard::model
