#include "training/import.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

#include "core/status.h"
#include "core/text.h"
#include "model/manifest.h"
#include "model/safetensors.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "training/data/picture_store.h"
#include "training/loop/standardise.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<fs::path> WeightsFile(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("mobilenet_v2") && name.ends_with(".safetensors")) return entry.path();
  }
  return absl::NotFoundError(absl::StrCat(folder.string(), " holds no mobilenet_v2*.safetensors"));
}

/// The tensors whose names start with `prefix`, without BatchNorm's counters, which nothing reads.
model::TensorMap StartingWith(const model::TensorMap& tensors, const std::string& prefix) {
  model::TensorMap found;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix) && !name.ends_with("num_batches_tracked"))
      found.emplace(name, tensor);
  }
  return found;
}

/// One line of labels.tsv.
struct Reference {
  std::string file;
  int64_t label = 0;
  int64_t top1 = 0;
  double probability = 0.0;
};

absl::StatusOr<std::vector<Reference>> ReadReferences(const fs::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  std::vector<Reference> references;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> cells = absl::StrSplit(line, '\t');
    Reference reference;
    if (cells.size() < 6) {
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ": short line: ", line));
    }
    if (!absl::SimpleAtoi(cells[1], &reference.label)) continue;  // The head.
    if (!absl::SimpleAtoi(cells[4], &reference.top1) ||
        !absl::SimpleAtod(cells[5], &reference.probability)) {
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ": no numbers: ", line));
    }
    reference.file = cells[0];
    references.push_back(std::move(reference));
  }
  return references;
}

}  // namespace

absl::StatusOr<ImportedNetwork> ImportMobileNetV2(const fs::path& weights) {
  ORCHARD_ASSIGN_OR_RETURN(const fs::path file, WeightsFile(weights));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors, model::ReadSafetensors(file));
  constexpr int64_t kClasses = 1000;
  ImportedNetwork network{.encoder = nets::MobileNetV2(),
                          .classifier = torch::nn::Linear(nets::kPooledWidth, kClasses)};
  ORCHARD_RETURN_IF_ERROR(
      model::LoadState(*network.encoder, StartingWith(tensors, "features."), "", file.string()));
  ORCHARD_RETURN_IF_ERROR(
      model::LoadState(*network.classifier, tensors, "classifier.1.", file.string()));
  return network;
}

absl::StatusOr<nets::MobileNetV2> ImportEncoder(const fs::path& weights) {
  const auto folder = model::ResolveVersion(weights);
  if (!folder.ok()) {  // No model.
    ORCHARD_ASSIGN_OR_RETURN(const ImportedNetwork network, ImportMobileNetV2(weights));
    return network.encoder;
  }
  ORCHARD_ASSIGN_OR_RETURN(const orchard::v1::ModelManifest manifest, model::ReadManifest(*folder));
  if (!manifest.has_encoder()) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder->string(), ": the model has no encoder to begin with"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors,
                           model::ReadPart(*folder, manifest.encoder().file()));
  nets::MobileNetV2 encoder;
  ORCHARD_RETURN_IF_ERROR(model::LoadState(*encoder, tensors, "",
                                           (*folder / manifest.encoder().file().path()).string()));
  return encoder;
}

orchard::v1::Preprocessing ImageNetPreprocessing() {
  orchard::v1::Preprocessing preprocessing;
  preprocessing.set_profile("imagenet");
  preprocessing.set_shorter_side(256);
  preprocessing.set_crop(224);
  for (const float mean : {0.485F, 0.456F, 0.406F}) preprocessing.add_mean(mean);
  for (const float std : {0.229F, 0.224F, 0.225F}) preprocessing.add_std(std);
  return preprocessing;
}

absl::Status JudgeImport(const ImportCheck& check) {
  const bool near = check.largest_difference <= kImportTolerance;
  if (check.pictures > 0 && check.other_top1 == 0 && near) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "the import is not the reference's network: of %d pictures %d have another first class "
      "(there "
      "must be pictures, and none such), and a probability is off by %.4f (at most %.2f)",
      check.pictures, check.other_top1, check.largest_difference, kImportTolerance));
}

absl::StatusOr<ImportCheck> CheckImport(ImportedNetwork& network, const fs::path& weights) {
  const fs::path folder = weights / "imagenet_check";
  ORCHARD_ASSIGN_OR_RETURN(const auto references, ReadReferences(folder / "labels.tsv"));
  std::vector<fs::path> files;
  for (const Reference& reference : references) files.push_back(folder / reference.file);
  ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels,
                           DecodeForServing(files, vision::Profile{}, /*threads=*/1));
  const torch::NoGradGuard guard;
  network.encoder->eval();
  const Standardise standardise(ImageNetPreprocessing(), torch::kCPU);
  ImportCheck check{.pictures = references.size()};
  for (size_t i = 0; i < references.size(); ++i) {
    const torch::Tensor x = standardise(pixels.narrow(0, static_cast<int64_t>(i), 1));
    const torch::Tensor probabilities =
        network.classifier->forward(network.encoder->forward(x).pooled).softmax(1).squeeze(0);
    const auto [best, classes] = probabilities.topk(5);  // [5]
    const Reference& reference = references[i];
    const auto first = classes[0].item<int64_t>();
    check.top1 += first == reference.label ? 1 : 0;
    check.top5 += classes.eq(reference.label).any().item<bool>() ? 1 : 0;
    check.other_top1 += first == reference.top1 ? 0 : 1;
    const double difference =
        std::abs(probabilities[reference.top1].item<double>() - reference.probability);
    // A difference that is no number must not be forgotten, as std::max would.
    check.largest_difference =
        std::max(check.largest_difference,
                 std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference);
  }
  return check;
}

}  // namespace orchard::training
