#include "training/provenance.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/status.h"
#include "core/text.h"
#include "training/statistics.h"

namespace orchard::training {
namespace {

constexpr const char* kMeasured = "## Measured\n";

/// "203/210 = .967 (.932 to .984)"; "-" for what was not measured.
std::string Share(const orchard::v1::Proportion& p) {
  if (p.total() == 0) return "-";
  const Interval interval = Wilson(p.hits(), p.total());
  const double share = static_cast<double>(p.hits()) / p.total();
  return absl::StrFormat("%d/%d = %.3f (%.3f to %.3f)", p.hits(), p.total(), share, interval.low,
                         interval.high);
}

std::string PicturesTable(const Run& run) {
  std::string text =
      "| domain | branch | architecture | classes | training | validation | test |\n"
      "|---|---|---|---|---|---|---|\n";
  for (size_t g = 0; g < run.dataset.domains.size(); ++g) {
    std::array<size_t, 3> count{};
    for (size_t i = 0; i < run.sides.size(); ++i) {
      if (run.dataset.pictures[i].label.domain == g) ++count[static_cast<size_t>(run.sides[i])];
    }
    const DomainClasses& domain = run.dataset.domains[g];
    absl::StrAppend(&text, "| ", domain.name, " | ", domain.branch, " | ",
                    run.recipe.domains(static_cast<int>(g)).architecture(), " | ",
                    domain.classes.size(), " | ", count[0], " | ", count[1], " | ", count[2],
                    " |\n");
  }
  return text;
}

constexpr const char* kSources =
    "## Initialised from\n\n"
    "MobileNetV2 1.0 trained on ImageNet-1k: torchvision's first release (BSD-3-Clause), by way "
    "of\n"
    "the ONNX model zoo (Apache-2.0). The ONNX file has BatchNorm folded into the convolutions;\n"
    "BatchNorm was put back with measured statistics, so that the function is the same and gamma "
    "is\n"
    "not the published one. Sources: Sandler et al., CVPR 2018 (arXiv:1801.04381); Russakovsky et\n"
    "al., IJCV 2015. ImageNet's pictures are for research; what that means for weights trained on\n"
    "them is not settled. The gates, the multi-layer experts and the blocks of the tails were\n"
    "initialised at random (seeded); the tails' last convolutions as copies of the encoder's.\n\n";

constexpr const char* kLicences =
    "The pictures belong to their authors. Most sources state no licence; the pictures were used\n"
    "for training and measurement only and none is part of this repository. Whoever redistributes\n"
    "or sells the weights should form an opinion of their own on that.\n\n";

constexpr const char* kLimits =
    "\n### What these data do not let the model reach\n\n"
    "- Few test pictures a domain: one picture is worth .5 to 5 points; read the intervals.\n"
    "- `fruit` and `vegetable` share things (carrot, tomato, potato, ...): such a picture has no\n"
    "  one right domain, and the strict figure counts the other one as wrong. The concept figure\n"
    "  doesn't.\n"
    "- Pistachio, rice, almond and the leaf sets are studio pictures on one ground; the figures\n"
    "  say little about photographs taken elsewhere. Near-duplicates were kept on one side of the\n"
    "  split, but pictures of one session are on both.\n"
    "- Almond kernels and shells come from two sources with different grounds, and there are few\n"
    "  kernels: part of what tells them apart may be the ground.\n"
    "- Unknown pictures here are far from every domain (animals, objects, scenes); a flower of an\n"
    "  unknown kind is nearer, and is refused less often.\n";

}  // namespace

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

absl::Status WriteProvenance(const std::filesystem::path& out,
                             const orchard::v1::ModelManifest& manifest, const Run& run) {
  std::string text = absl::StrCat("# ", manifest.name(), "/", manifest.version(), "\n\n", kSources,
                                  "## Trained on\n\n", PicturesTable(run), "\n", kLicences);
  absl::StrAppendFormat(&text, "Trained by the recipe in `evaluation/%s` (%d epochs, seed %d)",
                        kRecipe, run.recipe.optimisation().epochs(), run.recipe.seed());
  if (std::filesystem::exists(run.places.work / kStartRecipe)) {
    absl::StrAppend(&text, ", beginning with the finished network of the one in\n`evaluation/",
                    kStartRecipe, "`");
    const double share = run.recipe.optimisation().start_share();
    if (share > 0.0) {
      absl::StrAppendFormat(&text, "; the encoder is the mean of both (%.2f of the one begun with)",
                            share);
    }
  }
  absl::StrAppend(&text,
                  ".\nValidation pictures fitted the temperatures and the thresholds; nothing was "
                  "fitted to test\npictures. Matrices and kernels are stored in FP16.\n\n");
  absl::StrAppend(&text, kMeasured, "\n", MeasuredText(manifest.evaluation()), kLimits);
  return core::WriteFile(out / "PROVENANCE.md", text);
}

absl::Status UpdateProvenance(const std::filesystem::path& out,
                              const orchard::v1::Evaluation& evaluation) {
  const std::filesystem::path file = out / "PROVENANCE.md";
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  const size_t at = text.find(kMeasured);
  if (at == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(file.string(), " has no line ", kMeasured));
  }
  return core::WriteFile(
      file, absl::StrCat(text.substr(0, at), kMeasured, "\n", MeasuredText(evaluation), kLimits));
}

}  // namespace orchard::training
