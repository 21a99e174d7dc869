#include "training/studies/masked_moe/export.h"

#include <cstdio>

#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "core/text.h"
#include "model/encoder.h"
#include "model/manifest.h"
#include "model/torch_state.h"
#include "model/unknown_score.h"
#include "router/profile.h"
#include "training/data/split.h"
#include "training/measure/calibration.h"
#include "training/measure/concepts.h"
#include "training/parts.h"
#include "training/recipe.h"
#include "training/studies/masked_moe/calibrate.h"
#include "training/studies/masked_moe/encoder_only.h"
#include "training/studies/masked_moe/features.h"
#include "training/studies/masked_moe/metrics.h"
#include "training/studies/masked_moe/provenance.h"
#include "training/studies/masked_moe/run.h"
#include "training/studies/masked_moe/statements.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

/// Matrices and kernels as they will be read back from FP16.
void RoundToHalf(torch::nn::Module& module) {
  const torch::NoGradGuard guard;
  for (torch::Tensor& parameter : module.parameters()) {
    if (parameter.dim() >= 2) parameter.copy_(parameter.to(torch::kFloat16));
  }
}

/// One side of the split, encoded.
struct EncodedSide {
  std::vector<Label> labels;
  FeatureTable features;
};

absl::StatusOr<EncodedSide> EncodeSide(const Run& run, Side side, const std::string& title) {
  const std::vector<size_t> pictures = On(run.sides, side);
  if (pictures.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the recipe leaves no picture for ", title, "; set data.validation_share"));
  }
  const wire::Preprocessing preprocessing = PreprocessingOf(run.recipe);
  ShardedEncoder encoder(run.network->encoder, preprocessing, {.threads = run.places.threads});
  EncodedSide encoded{.labels = run.Labels(pictures), .features = {}};
  ORCHARD_ASSIGN_OR_RETURN(
      encoded.features, EncodeFiles(encoder, run.Files(pictures), router::ProfileOf(preprocessing),
                                    run.places.threads, title));
  return encoded;
}

class Exporter {
 public:
  Exporter(Run run, ExportOptions options)
      : run_(std::move(run)),
        options_(std::move(options)),
        concept_of_(ConceptOfClass(run_.recipe, run_.dataset.domains)) {}

  absl::Status Go() {
    ORCHARD_RETURN_IF_ERROR(BeginVersionFolder(options_.out));
    ORCHARD_RETURN_IF_ERROR(RoundAndCompare());
    manifest_.set_name(options_.name);
    manifest_.set_version(options_.version);
    ORCHARD_RETURN_IF_ERROR(WriteEncoderPart(options_.out, *run_.network->encoder,
                                             PreprocessingOf(run_.recipe), options_.version,
                                             *manifest_.mutable_encoder()));
    ORCHARD_RETURN_IF_ERROR(EncodeAsServed());
    temperatures_ = Calibrate(*run_.network, logits_, validation_.labels);
    ORCHARD_RETURN_IF_ERROR(WriteGates());
    ORCHARD_RETURN_IF_ERROR(WriteExperts());
    ORCHARD_RETURN_IF_ERROR(FitAbstention());
    DescribeConcepts(run_.recipe, manifest_);
    DescribeRouting();
    ORCHARD_RETURN_IF_ERROR(model::WriteManifest(options_.out, manifest_));
    ORCHARD_RETURN_IF_ERROR(WriteEvaluationFolder());
    return WriteProvenance(options_.out, manifest_, run_);
  }

 private:
  /// What FP16 storage costs is measured on the validation pictures before anything else.
  absl::Status RoundAndCompare() {
    ORCHARD_ASSIGN_OR_RETURN(validation_, EncodeSide(run_, Side::kValidation, "validation, FP32"));
    const auto measure = [&] {
      logits_ = Evaluate(*run_.network, validation_.features);
      return Measure(*run_.network, logits_, validation_.labels, Temperatures{}, concept_of_);
    };
    std::printf("FP32: %s\n", ToText(measure(), run_.dataset.domains).c_str());
    RoundToHalf(*run_.network);
    ORCHARD_ASSIGN_OR_RETURN(validation_, EncodeSide(run_, Side::kValidation, "validation, FP16"));
    std::printf("FP16: %s\n", ToText(measure(), run_.dataset.domains).c_str());
    return absl::OkStatus();
  }

  /// What is calibrated is what is served: from here on features are those of the part just
  /// written, by the encoder that servers run, in the precision that this CPU serves in.
  absl::Status EncodeAsServed() {
    ORCHARD_ASSIGN_OR_RETURN(const auto encoder,
                             model::Encoder::Load(options_.out, manifest_.encoder()));
    std::printf("calibrating on the served encoder, %s\n",
                model::Name(encoder->precision()).c_str());
    ORCHARD_RETURN_IF_ERROR(EncodeServed(*encoder, Side::kValidation, validation_));
    ORCHARD_RETURN_IF_ERROR(EncodeServed(*encoder, Side::kTrain, train_));
    logits_ = Evaluate(*run_.network, validation_.features);
    return absl::OkStatus();
  }

  absl::Status EncodeServed(const model::Encoder& encoder, Side side, EncodedSide& encoded) const {
    const std::vector<size_t> pictures = On(run_.sides, side);
    encoded.labels = run_.Labels(pictures);
    ORCHARD_ASSIGN_OR_RETURN(
        encoded.features,
        EncodeFiles(encoder, run_.Files(pictures), router::ProfileOf(PreprocessingOf(run_.recipe)),
                    run_.places.threads, side == Side::kTrain ? "training, served" : "served"));
    return absl::OkStatus();
  }

  absl::Status WriteGates() {
    wire::GatesPart& part = *manifest_.mutable_gates();
    *part.mutable_architecture() = ArchitectureOf(GateOf(run_.recipe));
    part.set_encoder_fingerprint(manifest_.encoder().fingerprint());
    for (const std::string& branch : run_.network->branches()) part.add_branches(branch);
    part.set_branch_temperature(temperatures_.gates.branch);
    for (const double t : temperatures_.gates.domain) part.add_domain_temperatures(t);
    constexpr int64_t kRank = 256;
    ORCHARD_ASSIGN_OR_RETURN(
        unknown_, FitUnknown(train_.features.pooled, train_.labels, run_.dataset.domains, kRank,
                             *part.mutable_unknown_score()));
    model::TensorMap tensors = model::StateOf(*run_.network->gates, "", model::Precision::kHalf);
    tensors.insert(unknown_.begin(), unknown_.end());
    return WritePart(options_.out, "gates.safetensors", model::SerialiseSafetensors(tensors),
                     options_.version, *part.mutable_file());
  }

  absl::Status WriteExperts() {
    const auto experts = run_.network->experts->named_children();
    for (size_t g = 0; g < run_.dataset.domains.size(); ++g) {
      const DomainClasses& domain = run_.dataset.domains[g];
      const v1::Domain& wanted = run_.recipe.domains(static_cast<int>(g));
      wire::ExpertPart& part = *manifest_.add_experts();
      part.set_domain(domain.name);
      part.set_branch(domain.branch);
      *part.mutable_architecture() = ArchitectureOf(wanted.expert());
      part.set_encoder_fingerprint(manifest_.encoder().fingerprint());
      part.set_feature_kind(run_.network->ReadsMap(g) ? wire::MAP : wire::POOLED);
      for (const std::string& label : domain.classes) part.add_classes(label);
      part.set_temperature(temperatures_.classes[g]);
      const model::TensorMap tensors =
          model::StateOf(*experts[domain.name], "", model::Precision::kHalf);
      ORCHARD_RETURN_IF_ERROR(
          WritePart(options_.out, absl::StrCat("experts/", domain.name, ".safetensors"),
                    model::SerialiseSafetensors(tensors), options_.version, *part.mutable_file()));
    }
    return absl::OkStatus();
  }

  absl::Status FitAbstention() {
    const LogProbabilities log = Combine(*run_.network, logits_, temperatures_);
    const torch::Tensor best =
        std::get<0>(SumByConcept(log.joint, concept_of_).max(1)).to(torch::kFloat64).contiguous();
    std::vector<double> confidence(best.data_ptr<double>(), best.data_ptr<double>() + best.numel());
    const torch::Tensor pooled = validation_.features.pooled.contiguous();
    const auto width = static_cast<size_t>(pooled.size(1));
    ORCHARD_ASSIGN_OR_RETURN(const auto score,
                             model::MakeUnknownScore(manifest_.gates().unknown_score(), unknown_,
                                                     width, "gates.safetensors"));
    std::vector<double> familiar;
    for (size_t i = 0; i < validation_.labels.size(); ++i) {
      const torch::Tensor row =
          log.domain[static_cast<int64_t>(i)].to(torch::kFloat64).contiguous();
      familiar.push_back(score->Score({pooled.data_ptr<float>() + i * width, width},
                                      {row.data_ptr<double>(), static_cast<size_t>(row.numel())}));
    }
    const Thresholds thresholds = FitThresholds(familiar, confidence, kKnownAccepted);
    manifest_.mutable_abstention()->set_unknown_threshold(thresholds.unknown);
    manifest_.mutable_abstention()->set_confidence_threshold(thresholds.confidence);
    std::printf("thresholds: unknown %.4f, confidence %.4f\n", thresholds.unknown,
                thresholds.confidence);
    return absl::OkStatus();
  }

  /// Share of the validation pictures whose most probable domain each one is.
  void DescribeRouting() {
    const LogProbabilities log = Combine(*run_.network, logits_, temperatures_);
    const torch::Tensor routed = log.domain.argmax(1);
    const auto rows = static_cast<double>(routed.numel());
    for (size_t g = 0; g < run_.dataset.domains.size(); ++g) {
      const auto count = routed.eq(static_cast<int64_t>(g)).sum().item<int64_t>();
      manifest_.add_reference_routing(static_cast<double>(count) / rows);
    }
  }

  absl::Status WriteEvaluationFolder() const {
    const torch::nn::Linear head =
        TrainEncoderOnly(train_.features.pooled, train_.labels, run_.dataset.domains, run_.recipe);
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(
        options_.out / "evaluation" / "encoder_only.safetensors",
        model::SerialiseSafetensors(model::StateOf(*head, "", model::Precision::kFull))));
    ORCHARD_RETURN_IF_ERROR(
        WriteSides(options_.out / "evaluation" / kSplit, run_.dataset, run_.sides));
    for (const char* name : {kRecipe, kStartRecipe}) {
      if (!fs::exists(run_.places.work / name)) continue;
      ORCHARD_ASSIGN_OR_RETURN(const std::string recipe, core::ReadFile(run_.places.work / name));
      ORCHARD_RETURN_IF_ERROR(core::WriteFile(options_.out / "evaluation" / name, recipe));
    }
    return absl::OkStatus();
  }

  Run run_;
  ExportOptions options_;
  std::vector<size_t> concept_of_;
  EncodedSide train_, validation_;
  Logits logits_;  // of the validation pictures, rounded network
  Temperatures temperatures_;
  model::TensorMap unknown_;
  wire::ModelManifest manifest_;
};

}  // namespace

absl::Status Export(const RunPlaces& places, const ExportOptions& options) {
  ORCHARD_RETURN_IF_ERROR(CheckVersionFolder(options));
  ORCHARD_ASSIGN_OR_RETURN(Run run, LoadRun(places));
  return Exporter(std::move(run), options).Go();
}

}  // namespace orchard::training
