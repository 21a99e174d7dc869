#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "nets/mobilenet_v2.h"
#include "orchard/v1/model.pb.h"

namespace orchard::training {

/// MobileNetV2 with its ImageNet classifier.
struct ImportedNetwork {
  nets::MobileNetV2 encoder;
  torch::nn::Linear classifier{nullptr};  ///< 1280 → 1000
};

/// Reads <weights>/mobilenet_v2.*safetensors with torchvision's tensor names. Errors name the file:
/// NOT_FOUND, or INVALID_ARGUMENT with every missing, additional and misshapen tensor.
absl::StatusOr<ImportedNetwork> ImportMobileNetV2(const std::filesystem::path& weights);

/// The encoder of `weights`: a folder as ImportMobileNetV2 takes it, or a model (a version folder,
/// or a folder of versions) whose encoder is a MobileNetV2, so that one may begin where another
/// model ended. Errors: NOT_FOUND naming what is missing; INVALID_ARGUMENT naming the file.
absl::StatusOr<nets::MobileNetV2> ImportEncoder(const std::filesystem::path& weights);

/// What those weights expect of a picture.
orchard::v1::Preprocessing ImageNetPreprocessing();

/// How the import did on pictures whose answers are known.
struct ImportCheck {
  size_t pictures = 0;
  size_t top1 = 0;                  ///< right first classes
  size_t top5 = 0;                  ///< right class among the first five
  size_t other_top1 = 0;            ///< first class is not the reference's
  double largest_difference = 0.0;  ///< of a first class's probability from the reference's
};

/// The most that a probability may be off: the reference decodes and resizes a little differently.
inline constexpr double kImportTolerance = 0.02;

/// Whether the import is the network that the reference was: every first class equal, no
/// probability off by more than kImportTolerance. Errors: FAILED_PRECONDITION saying what differs;
/// also without a picture.
absl::Status JudgeImport(const ImportCheck& check);

/// Classifies <weights>/imagenet_check/ and compares with its labels.tsv.
absl::StatusOr<ImportCheck> CheckImport(ImportedNetwork& network,
                                        const std::filesystem::path& weights);

}  // namespace orchard::training
