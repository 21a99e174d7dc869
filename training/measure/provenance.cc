#include "training/measure/provenance.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/status.h"
#include "core/text.h"
#include "training/measure/statistics.h"

namespace orchard::training {
namespace {

/// "203/210 = .967 (.932 to .984)"; "-" for what was not measured.
std::string Share(const orchard::v1::Proportion& p) {
  if (p.total() == 0) return "-";
  const Interval interval = Wilson(p.hits(), p.total());
  const double share = static_cast<double>(p.hits()) / p.total();
  return absl::StrFormat("%d/%d = %.3f (%.3f to %.3f)", p.hits(), p.total(), share, interval.low,
                         interval.high);
}

/// A heading with what the recipe says under it; nothing where it says nothing.
std::string Section(const char* heading, const std::string& words) {
  return words.empty() ? "" : absl::StrCat(heading, "\n\n", words, "\n\n");
}

}  // namespace

std::string PicturesTable(const std::vector<DomainClasses>& domains,
                          const std::vector<std::string>& networks, std::span<const Label> labels,
                          const std::vector<Side>& sides) {
  std::vector<std::array<size_t, 3>> counts(domains.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    ++counts[labels[i].domain][static_cast<size_t>(sides[i])];
  }
  std::string text =
      "| domain | branch | architecture | classes | training | validation | test |\n"
      "|---|---|---|---|---|---|---|\n";
  for (size_t g = 0; g < domains.size(); ++g) {
    absl::StrAppend(&text, "| ", domains[g].name, " | ", domains[g].branch, " | ", networks[g],
                    " | ", domains[g].classes.size(), " | ", counts[g][0], " | ", counts[g][1],
                    " | ", counts[g][2], " |\n");
  }
  return text;
}

std::string ProvenanceText(const orchard::v1::ModelManifest& manifest, const v1::Provenance& words,
                           const std::string& pictures, const std::string& how) {
  std::string text =
      absl::StrCat("# ", manifest.name(), "/", manifest.version(), "\n\n",
                   Section("## Initialised from", words.initialised_from()), "## Trained on\n\n",
                   pictures, "\n", Section("### Licences", words.licences()), "### How\n\n", how,
                   "\n\n", kMeasured, "\n", MeasuredText(manifest.evaluation()));
  if (!words.limits().empty()) {
    absl::StrAppend(&text, "\n", Section("### Limits", words.limits()));
  }
  return text;
}

std::string MeasuredText(const orchard::v1::Evaluation& e) {
  if (e.domains().empty()) return "Not yet: run `orchard-train eval --record`.\n";
  std::string text = absl::StrCat(
      "On ", e.data(), ", policy ", e.policy(), ". Hits, share, Wilson's 95 % interval.\n\n",
      "| domain | only encoder | expert, true domain | Gate1 + that expert | routed | routed, by "
      "concept |\n",
      "|---|---|---|---|---|---|\n");
  for (const auto& d : e.domains()) {
    absl::StrAppend(&text, "| ", d.domain(), " | ", Share(d.encoder_only()), " | ",
                    Share(d.oracle()), " | ", Share(d.gate1_oracle()), " | ", Share(d.routed()),
                    " | ", Share(d.routed_concept()), " |\n");
  }
  absl::StrAppend(&text, "\n- Gate1: ", Share(e.branch()),
                  "\n- Gate2, of those with the branch right: ", Share(e.domain_in_branch()),
                  "\n- domain (both): ", Share(e.domain()), "\n");
  absl::StrAppendFormat(&text,
                        "- mean of the domains: %.4f; by concept: %.4f\n"
                        "- experts asked a picture: %.3f\n"
                        "- calibration error of the joint, 15 equal-mass bins: %.4f\n",
                        e.mean_accuracy(), e.mean_concept(), e.mean_experts(),
                        e.calibration_error());
  if (e.unknown_rejected().total() > 0) {
    absl::StrAppendFormat(
        &text, "- unknown pictures: AUROC %.4f, accepted where 95 %% of known are: %.4f\n",
        e.unknown_auroc(), e.unknown_fpr95());
  }
  absl::StrAppend(&text, "- at the thresholds: unknown rejected ", Share(e.unknown_rejected()),
                  "; known accepted ", Share(e.known_accepted()), "\n");
  return text;
}

absl::Status UpdateProvenance(const std::filesystem::path& out,
                              const orchard::v1::Evaluation& evaluation) {
  const std::filesystem::path file = out / kProvenance;
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  const size_t at = text.find(kMeasured);
  if (at == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(file.string(), " has no line ", kMeasured));
  }
  const size_t next = text.find("\n#", at + 1);
  const std::string rest = next == std::string::npos ? "" : text.substr(next);
  return core::WriteFile(
      file, absl::StrCat(text.substr(0, at), kMeasured, "\n", MeasuredText(evaluation), rest));
}

}  // namespace orchard::training
