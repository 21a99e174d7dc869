#include "training/studies/masked_moe/provenance.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/text.h"
#include "nets/network.h"
#include "training/measure/provenance.h"

namespace orchard::training {
namespace {

/// A heading with what the recipe says under it; nothing where it says nothing.
std::string Section(const char* heading, const std::string& words) {
  return words.empty() ? "" : absl::StrCat(heading, "\n\n", words, "\n\n");
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
                    nets::NetworkName(run.recipe.domains(static_cast<int>(g)).expert()), " | ",
                    domain.classes.size(), " | ", count[0], " | ", count[1], " | ", count[2],
                    " |\n");
  }
  return text;
}

}  // namespace

absl::Status WriteProvenance(const std::filesystem::path& out,
                             const orchard::v1::ModelManifest& manifest, const Run& run) {
  const v1::Provenance& words = run.recipe.provenance();
  std::string text = absl::StrCat("# ", manifest.name(), "/", manifest.version(), "\n\n",
                                  Section("## Initialised from", words.initialised_from()),
                                  "## Trained on\n\n", PicturesTable(run), "\n",
                                  Section("### Licences", words.licences()), "### How\n\n");
  absl::StrAppendFormat(&text, "Trained by the recipe in `evaluation/%s` (%d epochs, seed %d)",
                        kRecipe, run.recipe.optimisation().epochs(), run.recipe.seed());
  if (std::filesystem::exists(run.places.work / kStartRecipe)) {
    absl::StrAppend(&text, ", beginning with the finished network of the one in\n`evaluation/",
                    kStartRecipe, "`");
    const double share = run.recipe.masked_moe().start_share();
    if (share > 0.0) {
      absl::StrAppendFormat(&text, "; the encoder is the mean of both (%.2f of the one begun with)",
                            share);
    }
  }
  absl::StrAppend(&text,
                  ".\nValidation pictures fitted the temperatures and the thresholds; nothing was "
                  "fitted to test\npictures. Matrices and kernels are stored in FP16.\n\n");
  absl::StrAppend(&text, kMeasured, "\n", MeasuredText(manifest.evaluation()));
  if (!words.limits().empty()) {
    absl::StrAppend(&text, "\n", Section("### Limits", words.limits()));
  }
  return core::WriteFile(out / "PROVENANCE.md", text);
}

}  // namespace orchard::training
