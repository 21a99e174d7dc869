#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "core/tensor.h"
#include "nets/head.h"
#include "nets/mobilenet_v2.h"
#include "nets/serve/servable.h"
#include "orchard/v1/model.pb.h"

/// \file
/// A model's parts as functions of tensors, preprocessing and calibration inside: the same as what
/// Encoder, Gates and ExpertHead serve, but before it becomes a graph of oneDNN or LibTorch. For
/// what translates a model or looks into it. Includes LibTorch, as torch_state.h does.

namespace orchard::model {

/// One part. Evaluation mode, no gradients.
struct PartNetwork {
  std::string name;                             ///< "encoder", "gates", "experts/<domain>"
  std::shared_ptr<torch::nn::Module> module{};  ///< names of tensors are those of the part's file
  nets::Forward forward{};                      ///< shares the ownership of `module`
  std::string input{};                          ///< "pixels", "pooled" or "map"
  std::vector<int64_t> row_shape{};  ///< of one row: pixels are uint8 [side, side, 3], RGB
  std::vector<std::string> outputs{};
  std::vector<std::string> labels{};  ///< what the columns of the first output mean; may be empty
};

/// `pixels` → `map` [N, 320, 7, 7] and `pooled` [N, 1280].
PartNetwork EncoderNetwork(nets::MobileNetV2 network, const v1::Preprocessing& preprocessing);

/// `head` on what `kind` says → `log_probabilities` [N, C], of logits / `temperature`, and `energy`
/// [N]: log Σ exp(logit). `preprocessing` is read for pictures alone.
PartNetwork HeadNetwork(const std::string& name, nets::Head head, core::FeatureKind kind,
                        const v1::Preprocessing& preprocessing, double temperature);

/// Those of a version folder: the encoder and the gates, if it has them, and every expert. Gates
/// give `log_branch` [N, B] and `log_domain` [N, G] (gates.h), and not the unknown-domain score,
/// which is no network. Errors: those of Encoder::Load, Gates::Load and ExpertHead::Load.
absl::StatusOr<std::vector<PartNetwork>> ReadPartNetworks(const std::filesystem::path& version_dir,
                                                          const v1::ModelManifest& manifest);

}  // namespace orchard::model
