#include "bench/serving/reference.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <torch/torch.h>

#include "core/status.h"
#include "model/manifest.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/mobilenet_v2.h"
#include "nets/serve/frozen.h"

namespace orchard::bench {
namespace {

constexpr int kShorterSide = 256;  // pixels
constexpr int kCrop = 224;

/// Errors: INVALID_ARGUMENT for what OpenCV can't decode.
absl::StatusOr<cv::Mat> Centre(const std::string& bytes) {
  const cv::Mat file(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
  cv::Mat picture = cv::imdecode(file, cv::IMREAD_COLOR);
  if (picture.empty()) return absl::InvalidArgumentError("not a picture that OpenCV decodes");
  const double scale = double{kShorterSide} / std::min(picture.cols, picture.rows);
  cv::resize(picture, picture, {}, scale, scale, cv::INTER_LINEAR);
  const cv::Rect middle((picture.cols - kCrop) / 2, (picture.rows - kCrop) / 2, kCrop, kCrop);
  cv::Mat rgb;
  cv::cvtColor(picture(middle), rgb, cv::COLOR_BGR2RGB);
  return rgb;
}

}  // namespace

struct Reference::Impl {
  nets::FrozenNet encoder;
};

Reference::Reference(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reference::~Reference() = default;
Reference::Reference(Reference&&) noexcept = default;

absl::StatusOr<Reference> Reference::Load(const std::filesystem::path& version_dir) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, model::ReadManifest(version_dir));
  const std::string& file = manifest.encoder().file().path();
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors,
                           model::ReadPart(version_dir, manifest.encoder().file()));
  nets::MobileNetV2 network;
  ORCHARD_RETURN_IF_ERROR(model::LoadState(*network, tensors, "", file));
  const torch::Tensor mean = torch::tensor({0.485F, 0.456F, 0.406F});
  const torch::Tensor std = torch::tensor({0.229F, 0.224F, 0.225F});
  const auto forward = [&](const torch::Tensor& pixels) {
    const auto features = network->forward(nets::Standardise(pixels, mean, std));
    return std::vector<torch::Tensor>{features.pooled};
  };
  cv::setNumThreads(0);
  ORCHARD_ASSIGN_OR_RETURN(
      nets::FrozenNet frozen,
      nets::FrozenNet::Make("encoder", *network, forward,
                            torch::zeros({1, kCrop, kCrop, 3}, torch::kUInt8)));
  return Reference(std::make_unique<Impl>(Impl{std::move(frozen)}));
}

absl::Status Reference::Run(const std::string& bytes) const {
  ORCHARD_ASSIGN_OR_RETURN(const cv::Mat pixels, Centre(bytes));
  return impl_->encoder.Run(torch::from_blob(pixels.data, {1, kCrop, kCrop, 3}, torch::kUInt8))
      .status();
}

}  // namespace orchard::bench
