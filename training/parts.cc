#include "training/parts.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "model/fingerprint.h"
#include "model/torch_state.h"
#include "model/unknown_score.h"
#include "nets/head.h"
#include "nets/network.h"
#include "training/data/dataset.h"

namespace orchard::training {

namespace wire = orchard::v1;

absl::Status BeginVersionFolder(const std::filesystem::path& out) {
  std::error_code error;
  for (const char* name : {"manifest.json", "evaluation/split.tsv"}) {
    if (!error) std::filesystem::remove(out / name, error);
  }
  for (const char* folder : {"experts", "evaluation"}) {
    if (!error) std::filesystem::create_directories(out / folder, error);
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(out.string(), ": ", error.message()));
}

std::vector<DomainClasses> DomainsOf(const wire::ModelManifest& manifest) {
  std::vector<DomainClasses> domains;
  for (const wire::ExpertPart& expert : manifest.experts()) {
    domains.push_back({.name = expert.domain(),
                       .branch = expert.branch(),
                       .classes = {expert.classes().begin(), expert.classes().end()}});
  }
  return domains;
}

absl::Status WritePart(const std::filesystem::path& out, const std::string& path,
                       std::string_view bytes, const std::string& version, wire::PartFile& part) {
  part.set_path(path);
  part.set_sha256(core::Sha256Hex(bytes));
  part.set_version(version);
  part.set_format(wire::SAFETENSORS);
  std::printf("%-36s %s\n", path.c_str(), core::HumanBytes(bytes.size()).c_str());
  return core::WriteFile(out / path, bytes);
}

absl::Status WriteEncoderPart(const std::filesystem::path& out,
                              const nets::MobileNetV2Impl& encoder,
                              const wire::Preprocessing& preprocessing, const std::string& version,
                              wire::EncoderPart& part) {
  part.mutable_architecture()->set_name("mobilenet_v2");
  *part.mutable_preprocessing() = preprocessing;
  for (const auto kind : {core::FeatureKind::kPooled, core::FeatureKind::kMap}) {
    wire::FeatureSpec& feature = *part.add_features();
    feature.set_kind(kind == core::FeatureKind::kMap ? wire::MAP : wire::POOLED);
    for (const int64_t size : nets::RowShape(kind)) feature.add_shape(size);
  }
  const model::TensorMap tensors = model::StateOf(encoder, "", model::Precision::kHalf);
  part.set_fingerprint(model::Fingerprint(tensors, part.preprocessing()));
  return WritePart(out, "encoder.safetensors", model::SerialiseSafetensors(tensors), version,
                   *part.mutable_file());
}

wire::Architecture ArchitectureOf(const wire::Network& network) {
  wire::Architecture architecture;
  architecture.set_name(nets::NetworkName(network));
  for (const auto& [choice, value] : nets::Choices(network)) {
    (*architecture.mutable_arguments())[choice] = static_cast<std::int32_t>(value);
  }
  return architecture;
}

absl::StatusOr<model::TensorMap> FitUnknown(const torch::Tensor& pooled,
                                            const std::vector<Label>& labels,
                                            const std::vector<DomainClasses>& domains, int64_t rank,
                                            wire::UnknownScore& spec) {
  spec.set_kind("mahalanobis");
  auto& arguments = *spec.mutable_arguments();
  // A few pictures span fewer dimensions.
  arguments["rank"] = static_cast<int>(std::min(rank, pooled.size(0) / 2));
  arguments["normalise"] = 1;
  const torch::Tensor rows = pooled.contiguous();
  std::vector<size_t> classes;
  for (const Label& label : labels) classes.push_back(FlatIndex(domains, label));
  return model::FitUnknownScore(spec, {rows.data_ptr<float>(), static_cast<size_t>(rows.numel())},
                                static_cast<size_t>(rows.size(1)), classes);
}

void DescribeConcepts(const v1::Recipe& recipe, wire::ModelManifest& manifest) {
  for (const v1::Concept& shared : recipe.concepts()) {
    for (const std::string& member : shared.classes()) {
      const size_t slash = member.find('/');
      wire::ConceptAlias& alias = *manifest.add_concepts();
      alias.set_domain(member.substr(0, slash));
      alias.set_label(member.substr(slash + 1));
      alias.set_concept_label(shared.label());
    }
  }
}

}  // namespace orchard::training
