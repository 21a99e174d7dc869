#include "training/studies/gates/export.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "core/status.h"
#include "core/text.h"
#include "model/manifest.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "training/log/say.h"
#include "training/measure/calibration.h"
#include "training/measure/questions.h"
#include "training/parts.h"
#include "training/recipe.h"
#include "training/studies/gates/answers.h"
#include "training/studies/gates/experts.h"
#include "training/studies/gates/learn.h"
#include "training/studies/gates/pictures.h"
#include "training/studies/gates/provenance.h"
#include "training/studies/gates/run.h"
#include "training/studies/gates/statements.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

constexpr const char* kUnfinished = "unfinished";  ///< in the work folder: the model in the making

/// Copies all files of a version folder, its manifest last: until then nobody takes it for a model.
absl::Status Publish(const fs::path& from, const fs::path& out) {
  constexpr const char* kManifest = "manifest.json";
  ORCHARD_RETURN_IF_ERROR(BeginVersionFolder(out));
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const fs::path name = entry.path().lexically_relative(from);
    if (entry.is_directory() || name == kManifest) continue;
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(entry.path()));
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(out / name, bytes));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::string manifest, core::ReadFile(from / kManifest));
  return core::WriteFile(out / kManifest, manifest);
}

class Exporter {
 public:
  Exporter(v1::Recipe recipe, RunPlaces places, ExportOptions options)
      : recipe_(std::move(recipe)),
        places_(std::move(places)),
        options_(std::move(options)),
        staging_(places_.work / kUnfinished) {}

  absl::Status Go() {
    ORCHARD_ASSIGN_OR_RETURN(outline_, ReadOutline(places_.work));
    ORCHARD_RETURN_IF_ERROR(LoadGates());
    ORCHARD_ASSIGN_OR_RETURN(experts_, ReadExperts(options_.experts, outline_));
    ORCHARD_RETURN_IF_ERROR(ReadPictures());
    fs::remove_all(staging_);
    ORCHARD_RETURN_IF_ERROR(BeginVersionFolder(staging_));
    manifest_.set_name(options_.name);
    manifest_.set_version(options_.version);
    ORCHARD_RETURN_IF_ERROR(CopyEncoder());
    ORCHARD_RETURN_IF_ERROR(WriteGates());
    ORCHARD_RETURN_IF_ERROR(CopyExperts());
    DescribeConcepts(recipe_, manifest_);
    ORCHARD_RETURN_IF_ERROR(FitOnAnswers());
    ORCHARD_RETURN_IF_ERROR(model::WriteManifest(staging_, manifest_));
    ORCHARD_RETURN_IF_ERROR(WriteEvaluationFolder());
    ORCHARD_RETURN_IF_ERROR(
        WriteGatesProvenance(staging_, manifest_, recipe_, set_, experts_,
                             {.train = train_.size(), .validation = validation_.size()}));
    ORCHARD_RETURN_IF_ERROR(Publish(staging_, options_.out));
    fs::remove_all(staging_);
    return absl::OkStatus();
  }

 private:
  absl::Status LoadGates() {
    const fs::path file = places_.work / kFinal;
    ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors, model::ReadSafetensors(file));
    ORCHARD_ASSIGN_OR_RETURN(gates_, NewGates(recipe_, DomainsOf(outline_)));
    ORCHARD_RETURN_IF_ERROR(model::LoadState(*gates_, tensors, "", file.string()));
    gates_->eval();
    return absl::OkStatus();
  }

  absl::Status ReadPictures() {
    ORCHARD_ASSIGN_OR_RETURN(set_, ReadPictureSet(places_.data, recipe_, places_.threads));
    size_t left_out = 0;
    ORCHARD_RETURN_IF_ERROR(TakeSplit(places_.work / kSplit, set_, left_out));
    if (left_out > 0) {
      Say(absl::StrCat(left_out, " pictures have come since the run began: left out"));
    }
    for (size_t g = 0; g < experts_.size(); ++g) {
      const v1::Domain& domain = recipe_.domains(static_cast<int>(g));
      ORCHARD_ASSIGN_OR_RETURN(const std::set<std::string> trained_on,
                               TrainedOn(experts_[g], domain, places_.data, places_.threads));
      if (const size_t moved = MoveToTraining(trained_on, g, set_); moved > 0) {
        Say(absl::StrCat(domain.name(), ": ", moved,
                         " pictures of the validation and test sides were trained on by its "
                         "expert; nothing is fitted on them"));
      }
    }
    const size_t most = recipe_.gates().pictures();
    ORCHARD_ASSIGN_OR_RETURN(train_, DrawPictures(set_, Side::kTrain, most, recipe_.seed()));
    ORCHARD_ASSIGN_OR_RETURN(validation_,
                             DrawPictures(set_, Side::kValidation, most, recipe_.seed()));
    return absl::OkStatus();
  }

  /// The one on whose features the gates learned.
  absl::Status CopyEncoder() {
    wire::EncoderPart& part = *manifest_.mutable_encoder();
    part = outline_.encoder();
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes,
                             core::ReadFile(places_.work / part.file().path()));
    return WritePart(staging_, part.file().path(), bytes, options_.version, *part.mutable_file());
  }

  /// Calibrated on what the encoder gives as it is served, in the precision of this CPU.
  absl::Status WriteGates() {
    ORCHARD_ASSIGN_OR_RETURN(const auto encoder,
                             model::Encoder::Load(staging_, manifest_.encoder()));
    Say(absl::StrCat("calibrating on the served encoder, ", model::Name(encoder->precision())));
    ORCHARD_ASSIGN_OR_RETURN(const GateSide train, EncodeSide(*encoder, recipe_, set_, train_,
                                                              places_.threads, "training, served"));
    ORCHARD_ASSIGN_OR_RETURN(
        const GateSide validation,
        EncodeSide(*encoder, recipe_, set_, validation_, places_.threads, "validation, served"));
    const GateTemperatures temperatures = TemperaturesOn(validation);
    wire::GatesPart& part = *manifest_.mutable_gates();
    *part.mutable_architecture() = ArchitectureOf(GateNetworkOf(recipe_));
    part.set_encoder_fingerprint(manifest_.encoder().fingerprint());
    for (const std::string& branch : gates_->tree().branches) part.add_branches(branch);
    part.set_branch_temperature(temperatures.branch);
    for (const double t : temperatures.domain) part.add_domain_temperatures(t);
    ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap unknown,
                             FitUnknown(train.features.pooled, train.labels, set_.domains,
                                        UnknownRankOf(recipe_), *part.mutable_unknown_score()));
    model::TensorMap tensors = model::StateOf(*gates_, "", model::Precision::kHalf);
    tensors.insert(unknown.begin(), unknown.end());
    return WritePart(staging_, "gates.safetensors", model::SerialiseSafetensors(tensors),
                     options_.version, *part.mutable_file());
  }

  GateTemperatures TemperaturesOn(const GateSide& validation) const {
    const torch::NoGradGuard guard;
    return FitGateTemperatures(gates_->tree(), gates_->Forward(validation.features.pooled),
                               validation.labels);
  }

  /// As they are: only the domain's name and branch are the recipe's.
  absl::Status CopyExperts() {
    for (size_t g = 0; g < experts_.size(); ++g) {
      const DomainClasses& domain = set_.domains[g];
      wire::ExpertPart& part = *manifest_.add_experts();
      part = experts_[g].part();
      part.set_domain(domain.name);
      part.set_branch(domain.branch);
      ORCHARD_RETURN_IF_ERROR(WritePart(
          staging_, absl::StrCat("experts/", domain.name, ".safetensors"), experts_[g].weights,
          experts_[g].part().file().version(), *part.mutable_file()));
      experts_[g].weights.clear();  // Tens of megabytes each.
    }
    return absl::OkStatus();
  }

  /// Thresholds, and the reference of routing: what the model without thresholds answers.
  absl::Status FitOnAnswers() {
    ORCHARD_RETURN_IF_ERROR(model::WriteManifest(staging_, manifest_));
    std::vector<Question> questions;
    for (const size_t i : validation_) {
      questions.push_back(QuestionOf(set_, i, recipe_, places_.data));
    }
    Say(absl::StrCat("asking the model about ", questions.size(), " validation pictures"));
    ORCHARD_ASSIGN_OR_RETURN(
        const KnownAnswers answers,
        AskKnown(staging_, questions, LabelsOf(set_, validation_), places_.threads));
    for (size_t g = 0; g < set_.domains.size(); ++g) {
      Say(
          absl::StrFormat("%s: of %d pictures the domain is right for %.4f, domain and class for "
                          "%.4f",
                          set_.domains[g].name, answers.domain[g].total, answers.domain[g].Share(),
                          answers.routed[g].Share()));
      manifest_.add_reference_routing(answers.routing[g]);
    }
    const Thresholds thresholds =
        FitThresholds(answers.unknown_score, answers.confidence, kKnownAccepted);
    manifest_.mutable_abstention()->set_unknown_threshold(thresholds.unknown);
    manifest_.mutable_abstention()->set_confidence_threshold(thresholds.confidence);
    Say(absl::StrFormat("thresholds: unknown %.4f, confidence %.4f", thresholds.unknown,
                        thresholds.confidence));
    return absl::OkStatus();
  }

  absl::Status WriteEvaluationFolder() const {
    const fs::path out = staging_ / "evaluation";
    ORCHARD_ASSIGN_OR_RETURN(const std::string recipe, core::ReadFile(places_.work / kRecipe));
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(out / kRecipe, recipe));
    for (size_t g = 0; g < experts_.size(); ++g) {
      const fs::path own = experts_[g].folder / "evaluation" / kRecipe;
      std::error_code error;
      if (!fs::exists(own, error)) continue;
      ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(own));
      ORCHARD_RETURN_IF_ERROR(
          core::WriteFile(out / absl::StrCat(set_.domains[g].name, ".", kRecipe), text));
    }
    if (std::ranges::all_of(recipe_.domains(), &HasTestSide)) return absl::OkStatus();
    return WriteSides(out / kSplit, set_);
  }

  v1::Recipe recipe_;
  RunPlaces places_;
  ExportOptions options_;
  fs::path staging_;
  wire::ModelManifest outline_, manifest_;
  std::shared_ptr<GatesImpl> gates_;
  std::vector<FinishedExpert> experts_;  // [G]
  PictureSet set_;
  std::vector<size_t> train_, validation_;  // Of the set.
};

}  // namespace

absl::Status ExportGates(const RunPlaces& places, const ExportOptions& options) {
  ORCHARD_RETURN_IF_ERROR(CheckVersionFolder(options));
  at::set_num_threads(static_cast<int>(places.threads));
  ORCHARD_ASSIGN_OR_RETURN(v1::Recipe recipe, ReadRecipe(places.work / kRecipe, {}));
  return Exporter(std::move(recipe), places, options).Go();
}

}  // namespace orchard::training
