#include "training/studies/gates/fit.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <ATen/Parallel.h>

#include "core/printable.h"
#include "core/status.h"
#include "training/import.h"
#include "training/log/picture_facts.h"
#include "training/log/say.h"
#include "training/loop/callbacks.h"
#include "training/parts.h"
#include "training/recipe.h"
#include "training/studies/gates/learn.h"
#include "training/studies/gates/pictures.h"
#include "training/studies/gates/run.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

/// What other studies take, and this one doesn't.
absl::Status CheckOptions(const RunPlaces& places, const FitOptions& options) {
  if (options.resume) {
    return absl::InvalidArgumentError(
        "--resume: gates take minutes and keep no checkpoint; the same command without it begins "
        "anew");
  }
  if (!options.start_from.empty()) {
    return absl::InvalidArgumentError("--start-from: gates begin with random weights, always");
  }
  if (options.stop_after > 0 || options.time_limit > 0.0) {
    return absl::InvalidArgumentError(
        "--stop-after and --time-limit: gates can't be resumed, so they aren't stopped either");
  }
  if (places.device != "cpu") {
    return absl::InvalidArgumentError(
        absl::StrCat("--device ", places.device,
                     ": features are those of the served encoder, which runs on the CPU"));
  }
  return absl::OkStatus();
}

void SayPictures(const PictureSet& set, size_t train, size_t validation) {
  for (const std::string& skipped : set.skipped) Say("left out: " + core::Printable(skipped));
  Say(absl::StrCat(set.domains.size(), " domains; of ", set.size(), " pictures ", train,
                   " are drawn to train on, ", validation, " to validate"));
}

wire::ModelManifest OutlineOf(const v1::Recipe& recipe, const PictureSet& set) {
  wire::ModelManifest outline;
  outline.set_name(recipe.name());
  for (const std::string& branch : Branches(recipe)) outline.mutable_gates()->add_branches(branch);
  for (const DomainClasses& domain : set.domains) {
    wire::ExpertPart& expert = *outline.add_experts();
    expert.set_domain(domain.name);
    expert.set_branch(domain.branch);
    for (const std::string& label : domain.classes) expert.add_classes(label);
  }
  return outline;
}

/// What a run log keeps of the pictures; of those that there are, gates learn from some.
std::vector<Fact> FactsOf(const PictureSet& set, size_t train, size_t validation) {
  std::vector<Fact> facts = PictureFacts(set);
  facts.push_back({.topic = "drawn", .name = "train", .value = static_cast<std::int64_t>(train)});
  facts.push_back(
      {.topic = "drawn", .name = "validation", .value = static_cast<std::int64_t>(validation)});
  return facts;
}

/// What a run before it may have left of what this one will write.
absl::Status RemoveOld(const fs::path& work) {
  std::error_code error;
  for (const char* name : {kFinal, kBest, kOutline}) {
    fs::remove(work / name, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat((work / name).string(), ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FitGates(const v1::Recipe& recipe, const RunPlaces& places,
                      const FitOptions& options) {
  ORCHARD_RETURN_IF_ERROR(CheckOptions(places, options));
  ORCHARD_RETURN_IF_ERROR(CheckWorkFolder(recipe, places.work, options));
  ORCHARD_ASSIGN_OR_RETURN(const nets::MobileNetV2 pretrained, ImportEncoder(places.weights));
  at::set_num_threads(1);  // Steps are so small that threads would only wait for one another.
  ORCHARD_ASSIGN_OR_RETURN(const PictureSet set,
                           ReadPictureSet(places.data, recipe, places.threads));
  const size_t most = recipe.gates().pictures();
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<size_t> of_train,
                           DrawPictures(set, Side::kTrain, most, recipe.seed()));
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<size_t> of_validation,
                           DrawPictures(set, Side::kValidation, most, recipe.seed()));
  ORCHARD_RETURN_IF_ERROR(BeginWorkFolder(recipe, places.work, options));
  ORCHARD_RETURN_IF_ERROR(RemoveOld(places.work));
  ORCHARD_RETURN_IF_ERROR(WriteSplit(places.work / kSplit, set));
  NoRunLog no_log;
  RunLog& log = options.log != nullptr ? *options.log : no_log;
  log.Begin(FactsOf(set, of_train.size(), of_validation.size()));
  SayPictures(set, of_train.size(), of_validation.size());

  wire::ModelManifest outline = OutlineOf(recipe, set);
  ORCHARD_RETURN_IF_ERROR(WriteEncoderPart(places.work, *pretrained, PreprocessingOf(recipe),
                                           /*version=*/"1", *outline.mutable_encoder()));
  ORCHARD_RETURN_IF_ERROR(WriteOutline(places.work, outline));
  ORCHARD_ASSIGN_OR_RETURN(const auto encoder,
                           model::Encoder::Load(places.work, outline.encoder()));
  Say(absl::StrCat("features are the served encoder's, ", model::Name(encoder->precision())));
  ORCHARD_ASSIGN_OR_RETURN(const GateSide train, EncodeSide(*encoder, recipe, set, of_train,
                                                            places.threads, "training, served"));
  ORCHARD_ASSIGN_OR_RETURN(
      const GateSide validation,
      EncodeSide(*encoder, recipe, set, of_validation, places.threads, "validation, served"));
  ORCHARD_ASSIGN_OR_RETURN(const auto gates, NewGates(recipe, set.domains));
  ORCHARD_RETURN_IF_ERROR(LearnGates(recipe, *gates, train, validation, places.work, log));
  ORCHARD_RETURN_IF_ERROR(WriteNetwork(places.work / kFinal, *gates));
  log.File(places.work / kFinal, /*epoch=*/0);
  return absl::OkStatus();
}

}  // namespace orchard::training
