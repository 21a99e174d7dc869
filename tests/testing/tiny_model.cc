#include "tests/testing/tiny_model.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <google/protobuf/util/json_util.h>
#include <torch/torch.h>

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "model/encoder.h"
#include "model/fingerprint.h"
#include "model/manifest.h"
#include "model/safetensors.h"
#include "model/torch_state.h"
#include "model/unknown_score.h"
#include "nets/head.h"
#include "nets/mobilenet_v2.h"

namespace orchard::testing {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPictures = 12;  // for statistics
constexpr int64_t kSide = 112;     // pixels; half the real side, a quarter of the time
constexpr double kSpread = 2.0;    // of logits over pictures
constexpr const char* kHealthy = "healthy";
constexpr const char* kDisease = "disease";

/// Blurred noise, so that pictures differ as a whole: [kPictures, 3, kSide, kSide].
torch::Tensor Pictures() {
  namespace F = torch::nn::functional;
  const torch::Tensor coarse = torch::randn({kPictures, 3, 4, 4}) * 2.0;
  const torch::Tensor smooth = F::interpolate(coarse, F::InterpolateFuncOptions()
                                                          .size(std::vector<int64_t>{kSide, kSide})
                                                          .mode(torch::kBilinear)
                                                          .align_corners(false));
  return smooth + torch::randn_like(smooth) * 0.3;
}

/// BatchNorm's statistics become those of `pictures`, so that every layer's output is of size one.
void Calibrate(nets::MobileNetV2& network, const torch::Tensor& pictures) {
  for (const auto& module : network->modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) norm->options.momentum(1.0);
  }
  network->train();
  network->forward(pictures);
  network->eval();
}

const torch::Tensor& FeaturesOf(const nets::EncoderFeatures& features, core::FeatureKind kind) {
  return kind == core::FeatureKind::kMap ? features.map : features.pooled;
}

/// A head that is sure of different classes for different pictures.
absl::StatusOr<nets::Head> MakeDecided(const v1::Architecture& architecture, int64_t classes,
                                       nets::MobileNetV2& network,
                                       const nets::EncoderFeatures& features) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Network choices,
                           nets::NetworkOf(architecture.name(), {architecture.arguments().begin(),
                                                                 architecture.arguments().end()}));
  ORCHARD_ASSIGN_OR_RETURN(const auto entry, nets::FindHead(choices, classes));
  ORCHARD_ASSIGN_OR_RETURN(nets::Head head, nets::MakeHead(choices, {.classes = classes}));
  head->InitialiseFrom(*network->features->ptr(nets::kEncoderBlocks - 1));
  head->eval();
  for (const auto& module : head->modules()) {
    auto* norm = module->as<torch::nn::BatchNorm2dImpl>();
    // The residual branch of a tail starts at zero; here it shall count.
    if (norm != nullptr && norm->weight.abs().max().item<float>() == 0.0F) norm->weight.fill_(0.3);
  }
  const torch::Tensor logits = head->forward(FeaturesOf(features, entry->feature_kind));
  const double scale = kSpread / logits.std(0).mean().item<double>();
  auto* classify = head->named_children()["classify"]->as<torch::nn::Conv2dImpl>();
  classify->weight.mul_(scale);
  classify->bias.sub_(logits.mean(0)).mul_(scale);
  return head;
}

std::vector<std::string> DomainNames(size_t count) {
  std::vector<std::string> names = {"fruit", "vegetable", "leaf", "grain", "flower",
                                    "nut",   "bark",      "root", "seed"};
  while (names.size() < count) names.push_back(absl::StrCat("domain", names.size()));
  names.resize(count);
  return names;
}

std::vector<std::string> ClassesOf(const std::string& domain, size_t index) {
  if (domain == "fruit") return {"apple", "maize", "tomato"};
  if (domain == "vegetable") return {"corn", "tomato"};
  std::vector<std::string> classes;
  for (size_t c = 0; c < 2 + index % 4; ++c) classes.push_back(absl::StrCat(domain, "_", c));
  return classes;
}

/// Architectures in turn, narrow where they take a width, or with their defaults.
v1::Architecture ExpertArchitecture(size_t index, bool full_size) {
  const nets::HeadEntry& entry = nets::FeatureHeads()[index % nets::FeatureHeads().size()];
  v1::Architecture architecture;
  architecture.set_name(std::string(entry.name));
  if (full_size) return architecture;
  const v1::Network widest = *nets::NetworkOf(entry.name, {});
  for (const auto& [choice, usual] : nets::Choices(widest)) {
    (*architecture.mutable_arguments())[choice] = 16;
  }
  return architecture;
}

absl::Status WritePart(const fs::path& version_dir, const model::TensorMap& tensors,
                       const std::string& path, v1::PartFile* file) {
  const std::string bytes = model::SerialiseSafetensors(tensors);
  file->set_path(path);
  file->set_sha256(core::Sha256Hex(bytes));
  if (file->version().empty()) file->set_version("1");
  file->set_format(v1::SAFETENSORS);
  return core::WriteFile(version_dir / path, bytes);
}

absl::Status WriteEncoder(const fs::path& version_dir, const nets::MobileNetV2& network,
                          v1::EncoderPart* part) {
  part->mutable_architecture()->set_name("mobilenet_v2");
  v1::Preprocessing* preprocessing = part->mutable_preprocessing();
  preprocessing->set_profile("imagenet");
  preprocessing->set_shorter_side(256);
  preprocessing->set_crop(224);
  for (const float mean : {0.485F, 0.456F, 0.406F}) preprocessing->add_mean(mean);
  for (const float std : {0.229F, 0.224F, 0.225F}) preprocessing->add_std(std);
  for (const auto& [kind, wire] : {std::pair(core::FeatureKind::kPooled, v1::POOLED),
                                   std::pair(core::FeatureKind::kMap, v1::MAP)}) {
    v1::FeatureSpec* feature = part->add_features();
    feature->set_kind(wire);
    for (const int64_t dimension : nets::RowShape(kind)) feature->add_shape(dimension);
  }
  const model::TensorMap tensors = model::StateOf(*network, "", model::Precision::kHalf);
  part->set_fingerprint(model::Fingerprint(tensors, *preprocessing));
  return WritePart(version_dir, tensors, "encoder.safetensors", part->mutable_file());
}

/// The folder being written.
struct Writer {
  fs::path dir;
  bool full_size;
  bool reversed_classes;
  nets::MobileNetV2 network;
  nets::EncoderFeatures features;
  v1::ModelManifest manifest;

  absl::Status WriteExpert(const std::string& domain, size_t index, bool diseased);
  absl::Status AddGate(const std::string& prefix, int64_t options, model::TensorMap& tensors);
  absl::Status WriteGates();
  absl::Status AddUnknownScore(model::TensorMap& tensors);
  void AddFigures();
};

absl::Status Writer::WriteExpert(const std::string& domain, size_t index, bool diseased) {
  v1::ExpertPart* part = manifest.add_experts();
  part->set_domain(domain);
  part->set_branch(diseased ? kDisease : kHealthy);
  *part->mutable_architecture() = ExpertArchitecture(index, full_size);
  part->set_encoder_fingerprint(manifest.encoder().fingerprint());
  const nets::HeadEntry& entry = nets::FeatureHeads()[index % nets::FeatureHeads().size()];
  part->set_feature_kind(entry.feature_kind == core::FeatureKind::kMap ? v1::MAP : v1::POOLED);
  std::vector<std::string> classes = ClassesOf(domain, index);
  if (reversed_classes) std::ranges::reverse(classes);
  for (const std::string& label : classes) part->add_classes(label);
  part->set_temperature(1.0 + 0.1 * static_cast<double>(index % 5));
  ORCHARD_ASSIGN_OR_RETURN(
      const nets::Head head,
      MakeDecided(part->architecture(), part->classes_size(), network, features));
  return WritePart(dir, model::StateOf(*head, "", model::Precision::kHalf),
                   absl::StrCat("experts/", domain, ".safetensors"), part->mutable_file());
}

absl::Status Writer::AddGate(const std::string& prefix, int64_t options,
                             model::TensorMap& tensors) {
  if (options < 2) return absl::OkStatus();
  ORCHARD_ASSIGN_OR_RETURN(const nets::Head head, MakeDecided(manifest.gates().architecture(),
                                                              options, network, features));
  tensors.merge(model::StateOf(*head, prefix, model::Precision::kHalf));
  return absl::OkStatus();
}

absl::Status Writer::AddUnknownScore(model::TensorMap& tensors) {
  v1::UnknownScore* spec = manifest.mutable_gates()->mutable_unknown_score();
  spec->set_kind("relative_mahalanobis");
  (*spec->mutable_arguments())["rank"] = 4;
  const torch::Tensor pooled = features.pooled.contiguous();
  const auto width = static_cast<size_t>(pooled.size(1));
  const std::span<const float> rows(pooled.data_ptr<float>(), static_cast<size_t>(pooled.numel()));
  std::vector<size_t> labels;
  for (size_t i = 0; i < kPictures; ++i) labels.push_back(i / 3);
  ORCHARD_ASSIGN_OR_RETURN(model::TensorMap statistics,
                           model::FitUnknownScore(*spec, rows, width, labels));
  ORCHARD_ASSIGN_OR_RETURN(const auto score,
                           model::MakeUnknownScore(*spec, statistics, width, "tiny"));
  double lowest = 0.0;
  for (size_t i = 0; i < kPictures; ++i) {
    lowest = std::min(lowest, score->Score(rows.subspan(i * width, width), {}));
  }
  manifest.mutable_abstention()->set_unknown_threshold(10.0 * lowest - 10.0);
  tensors.merge(statistics);
  return absl::OkStatus();
}

absl::Status Writer::WriteGates() {
  v1::GatesPart* part = manifest.mutable_gates();
  part->mutable_architecture()->set_name("mlp");
  (*part->mutable_architecture()->mutable_arguments())["hidden"] = full_size ? 128 : 16;
  part->set_encoder_fingerprint(manifest.encoder().fingerprint());
  part->set_branch_temperature(1.5);
  model::TensorMap tensors;
  for (const char* branch : {kHealthy, kDisease}) {
    part->add_branches(branch);
    part->add_domain_temperatures(0.9);
    const auto domains = std::ranges::count(manifest.experts(), branch, &v1::ExpertPart::branch);
    ORCHARD_RETURN_IF_ERROR(AddGate(absl::StrCat("domain.", branch, "."), domains, tensors));
  }
  ORCHARD_RETURN_IF_ERROR(AddGate("branch.", part->branches_size(), tensors));
  ORCHARD_RETURN_IF_ERROR(AddUnknownScore(tensors));
  return WritePart(dir, tensors, "gates.safetensors", part->mutable_file());
}

void Writer::AddFigures() {
  manifest.mutable_abstention()->set_confidence_threshold(0.05);
  v1::ConceptAlias* alias = manifest.add_concepts();
  alias->set_domain("fruit");
  alias->set_label("maize");
  alias->set_concept_label("corn");
  for (const v1::ExpertPart& expert : manifest.experts()) {
    manifest.add_reference_routing(1.0 / manifest.experts_size());
    v1::DomainEvaluation* figures = manifest.mutable_evaluation()->add_domains();
    figures->set_domain(expert.domain());
    figures->mutable_routed()->set_hits(3);
    figures->mutable_routed()->set_total(4);
  }
  manifest.mutable_evaluation()->set_data("twelve pictures of noise");
  manifest.mutable_evaluation()->set_policy("exact");
}

/// The parts of the manifest that a fault concerns.
struct BrokenPart {
  v1::PartFile* file;
  v1::Architecture* architecture;
  std::string* fingerprint;
};

BrokenPart Pick(v1::ModelManifest& manifest, TinyPart part) {
  if (part == TinyPart::kEncoder) {
    v1::EncoderPart* encoder = manifest.mutable_encoder();
    return {encoder->mutable_file(), encoder->mutable_architecture(),
            encoder->mutable_fingerprint()};
  }
  if (part == TinyPart::kGates) {
    v1::GatesPart* gates = manifest.mutable_gates();
    return {gates->mutable_file(), gates->mutable_architecture(),
            gates->mutable_encoder_fingerprint()};
  }
  v1::ExpertPart* expert = manifest.mutable_experts(0);
  return {expert->mutable_file(), expert->mutable_architecture(),
          expert->mutable_encoder_fingerprint()};
}

void BreakTensors(TinyFault fault, model::TensorMap& tensors) {
  const auto first = tensors.begin();
  if (fault == TinyFault::kMissingTensor) tensors.erase(first);
  if (fault == TinyFault::kWrongShape) first->second.shape.push_back(1);
  if (fault == TinyFault::kAdditionalTensor) {
    tensors["stranger"] = model::Store({2}, {1.0F, 2.0F}, model::StoredType::kF32);
  }
  if (fault == TinyFault::kNotFinite) {
    std::fill_n(first->second.bytes.begin(), model::SizeOf(first->second.type), '\xff');
  }
}

/// Every part names the encoder that is now there.
void FitFingerprints(const model::TensorMap& encoder, v1::ModelManifest& manifest) {
  const std::string fingerprint = model::Fingerprint(encoder, manifest.encoder().preprocessing());
  manifest.mutable_encoder()->set_fingerprint(fingerprint);
  manifest.mutable_gates()->set_encoder_fingerprint(fingerprint);
  for (v1::ExpertPart& expert : *manifest.mutable_experts()) {
    expert.set_encoder_fingerprint(fingerprint);
  }
}

}  // namespace

absl::StatusOr<v1::ModelManifest> WriteTinyModel(const fs::path& version_dir,
                                                 const TinyModelOptions& options) {
  model::PrepareInferenceThread();
  torch::manual_seed(options.seed);
  const torch::NoGradGuard guard;
  fs::create_directories(version_dir / "experts");
  Writer writer{.dir = version_dir,
                .full_size = options.full_size,
                .reversed_classes = options.reversed_classes,
                .network = {},
                .features = {},
                .manifest = {}};
  writer.manifest.set_name("tiny");
  writer.manifest.set_version(options.version);
  const torch::Tensor pictures = Pictures();
  Calibrate(writer.network, pictures);
  writer.features = writer.network->forward(pictures);
  ORCHARD_RETURN_IF_ERROR(
      WriteEncoder(version_dir, writer.network, writer.manifest.mutable_encoder()));
  const std::vector<std::string> domains = DomainNames(std::max<size_t>(options.domains, 2));
  const size_t healthy = domains.size() - std::max<size_t>(domains.size() / 3, 1);
  for (size_t i = 0; i < domains.size(); ++i) {
    ORCHARD_RETURN_IF_ERROR(writer.WriteExpert(domains[i], i, i >= healthy));
  }
  ORCHARD_RETURN_IF_ERROR(writer.WriteGates());
  writer.AddFigures();
  ORCHARD_RETURN_IF_ERROR(model::WriteManifest(version_dir, writer.manifest));
  return writer.manifest;
}

absl::Status BreakTinyModel(const fs::path& version_dir, TinyPart part, TinyFault fault) {
  ORCHARD_ASSIGN_OR_RETURN(v1::ModelManifest manifest, model::ReadManifest(version_dir));
  const BrokenPart broken = Pick(manifest, part);
  const fs::path file = version_dir / broken.file->path();
  ORCHARD_ASSIGN_OR_RETURN(std::string bytes, core::ReadFile(file));
  if (fault == TinyFault::kMissingFile) {
    fs::remove(file);
    return absl::OkStatus();
  }
  if (fault == TinyFault::kWrongChecksum) {
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    return core::WriteFile(file, bytes);
  }
  if (fault == TinyFault::kTruncatedFile) {
    bytes.resize(bytes.size() / 2);
    broken.file->set_sha256(core::Sha256Hex(bytes));
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(file, bytes));
  } else if (fault == TinyFault::kUnknownArchitecture) {
    broken.architecture->set_name("no_such_net");
  } else if (fault == TinyFault::kOtherEncoder) {
    *broken.fingerprint = "0123456789abcdef";
  } else {
    ORCHARD_ASSIGN_OR_RETURN(model::TensorMap tensors,
                             model::ParseSafetensors(bytes, file.string()));
    BreakTensors(fault, tensors);
    const std::string path = broken.file->path();
    ORCHARD_RETURN_IF_ERROR(WritePart(version_dir, tensors, path, broken.file));
    if (part == TinyPart::kEncoder) FitFingerprints(tensors, manifest);
  }
  // Not by WriteManifest: it would refuse what some faults are.
  std::string json;
  const auto written = google::protobuf::util::MessageToJsonString(manifest, &json);
  if (!written.ok()) return absl::InternalError(written.ToString());
  return core::WriteFile(version_dir / "manifest.json", json);
}

}  // namespace orchard::testing
