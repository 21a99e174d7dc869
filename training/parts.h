#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

#include "model/safetensors.h"
#include "nets/mobilenet_v2.h"
#include "orchard/training/v1/recipe.pb.h"
#include "orchard/v1/model.pb.h"
#include "training/training.h"

/// \file
/// What version folders are made of, whatever study makes them.

namespace orchard::training {

/// Makes the version folder with its folders experts/ and evaluation/. What said that a model is
/// there (manifest and split of one that is replaced) goes first: nobody takes half a model for
/// one. Errors: UNAVAILABLE naming the folder.
absl::Status BeginVersionFolder(const std::filesystem::path& out);

/// A model's domains and their classes, in its order.
std::vector<DomainClasses> DomainsOf(const orchard::v1::ModelManifest& manifest);

/// Writes a part into the version folder `out`, describes it in `part`, and says name and size on
/// stdout. The folders of `path` must exist. Errors: UNAVAILABLE naming the file.
absl::Status WritePart(const std::filesystem::path& out, const std::string& path,
                       std::string_view bytes, const std::string& version,
                       orchard::v1::PartFile& part);

/// Writes encoder.safetensors, matrices and kernels in FP16, and describes all of the part.
absl::Status WriteEncoderPart(const std::filesystem::path& out,
                              const nets::MobileNetV2Impl& encoder,
                              const orchard::v1::Preprocessing& preprocessing,
                              const std::string& version, orchard::v1::EncoderPart& part);

/// A network as manifests write it: its name, every choice said.
orchard::v1::Architecture ArchitectureOf(const orchard::v1::Network& network);

/// Fits the unknown-domain score on training pictures and describes it in `spec`: Mahalanobis
/// distance from the classes of all domains, in `rank` dimensions or, where the pictures are few,
/// in less. `pooled` float32 [N, 1280], `labels` [N], every class with a picture. Why this kind:
/// docs/decisions/0006-unknown-domain-score.md. Errors: those of model::FitUnknownScore.
absl::StatusOr<model::TensorMap> FitUnknown(const torch::Tensor& pooled,
                                            const std::vector<Label>& labels,
                                            const std::vector<DomainClasses>& domains, int64_t rank,
                                            orchard::v1::UnknownScore& spec);

/// The recipe's concepts as aliases in the manifest.
void DescribeConcepts(const v1::Recipe& recipe, orchard::v1::ModelManifest& manifest);

}  // namespace orchard::training
