#include "training/studies/gates/provenance.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/text.h"
#include "model/manifest.h"
#include "nets/network.h"
#include "training/measure/provenance.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

std::string NameOf(const orchard::v1::Architecture& architecture) {
  return architecture.has_network() ? nets::NetworkName(architecture.network())
                                    : architecture.name();
}

std::string ExpertsTable(const std::vector<DomainClasses>& domains,
                         const std::vector<FinishedExpert>& experts) {
  std::string text = "\n| expert | of the model | SHA-256 of its weights |\n|---|---|---|\n";
  for (size_t g = 0; g < experts.size(); ++g) {
    absl::StrAppend(&text, "| ", domains[g].name, " | ", model::VersionName(experts[g].manifest),
                    ", domain ", experts[g].part().domain(), " | `",
                    experts[g].part().file().sha256(), "` |\n");
  }
  return text;
}

}  // namespace

absl::Status WriteGatesProvenance(const std::filesystem::path& out,
                                  const orchard::v1::ModelManifest& manifest,
                                  const v1::Recipe& recipe, const PictureSet& set,
                                  const std::vector<FinishedExpert>& experts,
                                  const PicturesUsed& used) {
  std::vector<std::string> networks;
  for (const FinishedExpert& expert : experts) {
    networks.push_back(NameOf(expert.part().architecture()));
  }
  const std::string pictures = PicturesTable(set.domains, networks, set.labels, set.sides) +
                               ExpertsTable(set.domains, experts);
  const std::string how = absl::StrFormat(
      "Experts are parts of finished models, byte by byte, with their temperatures; the recipes\n"
      "that trained them are `evaluation/<domain>.%s`, where their models carry one.\n"
      "Gates were trained by the recipe in `evaluation/%s` (%d epochs, seed %d) on features\n"
      "that the encoder, which stayed as it was, gives for %d training pictures; the epoch with\n"
      "the best validation is served. %d validation pictures fitted the gates' temperatures and,\n"
      "by what the whole model answers, the thresholds. A picture that an expert was trained on\n"
      "counts as a training picture, and nothing was fitted to test pictures.\n"
      "Matrices and kernels are stored in FP16.",
      kRecipe, kRecipe, recipe.optimisation().epochs(), recipe.seed(), used.train, used.validation);
  return core::WriteFile(out / kProvenance,
                         ProvenanceText(manifest, recipe.provenance(), pictures, how));
}

}  // namespace orchard::training
