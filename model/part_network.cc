#include "model/part_network.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <torch/torch.h>

#include "core/status.h"
#include "model/internal/choices.h"
#include "model/internal/networks.h"
#include "model/manifest.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/guarded.h"

namespace orchard::model {
namespace {

namespace fs = std::filesystem;

using internal::Choice;

/// Puts the part's module in the state in which it is served.
PartNetwork Settled(PartNetwork part) {
  part.module->eval();
  for (torch::Tensor& parameter : part.module->parameters()) parameter.set_requires_grad(false);
  return part;
}

/// uint8 [N, side, side, 3] → standardised [N, 3, side, side].
std::function<torch::Tensor(const torch::Tensor&)> StandardiserOf(const v1::Preprocessing& p) {
  const auto three = [](const auto& v) { return torch::tensor({v.Get(0), v.Get(1), v.Get(2)}); };
  return [mean = three(p.mean()), std = three(p.std())](const torch::Tensor& pixels) {
    return nets::Standardise(pixels, mean, std);
  };
}

/// The gates' networks, under the names that their tensors have on disk.
struct GateModule final : torch::nn::Module {
  std::vector<Choice> choices;
  std::vector<nets::Head> heads;  // of each choice; null where there is nothing to choose

  /// [N, options] of one choice, calibrated.
  torch::Tensor Decide(size_t choice, const torch::Tensor& pooled) const {
    if (heads[choice] == nullptr) return torch::zeros_like(pooled.narrow(1, 0, 1));
    const torch::Tensor logits = heads[choice]->forward(pooled);
    return (logits / choices[choice].temperature).log_softmax(1);
  }

  /// {log p(branch) [N, B], log p(domain) [N, G]}.
  std::vector<torch::Tensor> Forward(const torch::Tensor& pooled, size_t domains) const {
    const torch::Tensor branch = Decide(0, pooled);
    std::vector<torch::Tensor> columns(domains);
    for (size_t b = 0; b + 1 < choices.size(); ++b) {
      const torch::Tensor inside =
          branch.narrow(1, static_cast<int64_t>(b), 1) + Decide(b + 1, pooled);
      const std::vector<size_t>& options = choices[b + 1].options;
      for (size_t i = 0; i < options.size(); ++i) {
        columns[options[i]] = inside.narrow(1, static_cast<int64_t>(i), 1);
      }
    }
    return {branch, torch::cat(columns, 1)};
  }
};

absl::StatusOr<PartNetwork> ReadEncoder(const fs::path& version_dir, const v1::EncoderPart& part) {
  const std::string file = version_dir / part.file().path();
  if (internal::NameOf(part.architecture()) != "mobilenet_v2") {
    return absl::InvalidArgumentError(absl::StrCat(file, ": unknown encoder architecture \"",
                                                   internal::NameOf(part.architecture()), "\""));
  }
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  nets::MobileNetV2 network;
  ORCHARD_RETURN_IF_ERROR(LoadState(*network, tensors, "", file));
  return EncoderNetwork(network, part.preprocessing());
}

absl::StatusOr<PartNetwork> ReadGates(const fs::path& version_dir,
                                      const v1::ModelManifest& manifest) {
  const v1::GatesPart& part = manifest.gates();
  const std::string file = version_dir / part.file().path();
  ORCHARD_RETURN_IF_ERROR(internal::CheckFingerprint(file, part.encoder_fingerprint(),
                                                     manifest.encoder().fingerprint()));
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  auto gates = std::make_shared<GateModule>();
  gates->choices = internal::ChoicesOf(manifest);
  for (const Choice& choice : gates->choices) {
    gates->heads.emplace_back();
    if (!choice.HasNetwork()) continue;
    ORCHARD_ASSIGN_OR_RETURN(gates->heads.back(),
                             internal::LoadHead(part.architecture(), core::FeatureKind::kPooled,
                                                static_cast<int64_t>(choice.options.size()),
                                                tensors, choice.prefix, file));
    // "branch.", "domain.<branch>.": a module's name has no dot.
    const std::string name = choice.prefix.substr(0, choice.prefix.size() - 1);
    gates->register_module(absl::StrReplaceAll(name, {{".", "_"}}), gates->heads.back());
  }
  const auto domains = static_cast<size_t>(manifest.experts_size());
  return Settled(
      {.name = "gates",
       .module = gates,
       .forward = [gates, domains](const torch::Tensor& x) { return gates->Forward(x, domains); },
       .input = "pooled",
       .row_shape = nets::RowShape(core::FeatureKind::kPooled),
       .outputs = {"log_branch", "log_domain"},
       .labels = {part.branches().begin(), part.branches().end()}});
}

absl::StatusOr<PartNetwork> ReadExpert(const fs::path& version_dir,
                                       const v1::ModelManifest& manifest,
                                       const v1::ExpertPart& part) {
  const std::string file = version_dir / part.file().path();
  ORCHARD_ASSIGN_OR_RETURN(const core::FeatureKind kind, internal::KindOf(part, file));
  if (kind != core::FeatureKind::kImage) {
    ORCHARD_RETURN_IF_ERROR(internal::CheckFingerprint(file, part.encoder_fingerprint(),
                                                       manifest.encoder().fingerprint()));
  }
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  ORCHARD_ASSIGN_OR_RETURN(
      const nets::Head head,
      internal::LoadHead(part.architecture(), kind, part.classes_size(), tensors, "", file));
  PartNetwork network = HeadNetwork(absl::StrCat("experts/", part.domain()), head, kind,
                                    part.preprocessing(), part.temperature());
  network.labels = {part.classes().begin(), part.classes().end()};
  return network;
}

}  // namespace

PartNetwork EncoderNetwork(nets::MobileNetV2 network, const v1::Preprocessing& preprocessing) {
  const auto standardise = StandardiserOf(preprocessing);
  const auto forward = [network, standardise](const torch::Tensor& pixels) mutable {
    const nets::EncoderFeatures features = network->forward(standardise(pixels));
    return std::vector<torch::Tensor>{features.map, features.pooled};
  };
  const int64_t side = preprocessing.crop();
  return Settled({.name = "encoder",
                  .module = network.ptr(),
                  .forward = forward,
                  .input = "pixels",
                  .row_shape = {side, side, 3},
                  .outputs = {"map", "pooled"}});
}

PartNetwork HeadNetwork(const std::string& name, nets::Head head, core::FeatureKind kind,
                        const v1::Preprocessing& preprocessing, double temperature) {
  const bool reads_pictures = kind == core::FeatureKind::kImage;
  const int64_t side = preprocessing.crop();
  std::function<torch::Tensor(const torch::Tensor&)> standardise;
  if (reads_pictures) standardise = StandardiserOf(preprocessing);
  const auto forward = [head, standardise, temperature](const torch::Tensor& x) {
    const torch::Tensor logits = head->forward(standardise ? standardise(x) : x);
    return std::vector<torch::Tensor>{(logits / temperature).log_softmax(1), logits.logsumexp(1)};
  };
  // Its names are those in the part's file, where it keeps them: not behind a wrapper's.
  const std::shared_ptr<torch::nn::Module> stored(head, &head->stored());
  return Settled(
      {.name = name,
       .module = stored,
       .forward = forward,
       .input = reads_pictures                    ? "pixels"
                : kind == core::FeatureKind::kMap ? "map"
                                                  : "pooled",
       .row_shape = reads_pictures ? std::vector<int64_t>{side, side, 3} : nets::RowShape(kind),
       .outputs = {"log_probabilities", "energy"}});
}

absl::StatusOr<std::vector<PartNetwork>> ReadPartNetworks(const fs::path& version_dir,
                                                          const v1::ModelManifest& manifest) {
  return nets::Guarded(version_dir, [&]() -> absl::StatusOr<std::vector<PartNetwork>> {
    std::vector<PartNetwork> parts;
    if (manifest.has_encoder()) {
      ORCHARD_ASSIGN_OR_RETURN(parts.emplace_back(), ReadEncoder(version_dir, manifest.encoder()));
    }
    if (manifest.has_gates()) {
      ORCHARD_ASSIGN_OR_RETURN(parts.emplace_back(), ReadGates(version_dir, manifest));
    }
    for (const v1::ExpertPart& expert : manifest.experts()) {
      ORCHARD_ASSIGN_OR_RETURN(parts.emplace_back(), ReadExpert(version_dir, manifest, expert));
    }
    return parts;
  });
}

}  // namespace orchard::model
