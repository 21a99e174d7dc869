#include "training/studies/masked_moe/provenance.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/text.h"
#include "nets/network.h"
#include "training/measure/provenance.h"

namespace orchard::training {
namespace {

std::string How(const Run& run) {
  std::string text =
      absl::StrFormat("Trained by the recipe in `evaluation/%s` (%d epochs, seed %d)", kRecipe,
                      run.recipe.optimisation().epochs(), run.recipe.seed());
  if (std::filesystem::exists(run.places.work / kStartRecipe)) {
    absl::StrAppend(&text, ", beginning with the finished network of the one in\n`evaluation/",
                    kStartRecipe, "`");
    const double share = run.recipe.masked_moe().start_share();
    if (share > 0.0) {
      absl::StrAppendFormat(&text, "; the encoder is the mean of both (%.2f of the one begun with)",
                            share);
    }
  }
  return absl::StrCat(
      text,
      ".\nValidation pictures fitted the temperatures and the thresholds; nothing was fitted to "
      "test\npictures. Matrices and kernels are stored in FP16.");
}

}  // namespace

absl::Status WriteProvenance(const std::filesystem::path& out,
                             const orchard::v1::ModelManifest& manifest, const Run& run) {
  std::vector<std::string> networks;
  for (const v1::Domain& domain : run.recipe.domains()) {
    networks.push_back(nets::NetworkName(domain.expert()));
  }
  std::vector<size_t> all(run.dataset.pictures.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const std::string pictures =
      PicturesTable(run.dataset.domains, networks, run.Labels(all), run.sides);
  return core::WriteFile(out / kProvenance,
                         ProvenanceText(manifest, run.recipe.provenance(), pictures, How(run)));
}

}  // namespace orchard::training
