#include "training/measure/served_encoder.h"

#include <algorithm>
#include <vector>

#include "core/status.h"
#include "nets/head.h"
#include "training/data/parallel.h"
#include "training/log/progress.h"

namespace orchard::training {
namespace {

/// The pooled features of each row; `threads` share the rows.
absl::StatusOr<torch::Tensor> Pooled(const model::Encoder& encoder, const torch::Tensor& pixels,
                                     size_t threads) {
  torch::Tensor pooled = torch::empty({pixels.size(0), nets::kPooledWidth});
  ORCHARD_RETURN_IF_ERROR(
      ForEach(static_cast<size_t>(pixels.size(0)), threads, [&](size_t i) -> absl::Status {
        model::PrepareInferenceThread();
        const auto row = static_cast<int64_t>(i);
        ORCHARD_ASSIGN_OR_RETURN(const nets::EncoderFeatures features,
                                 EncodeServed(encoder, pixels.narrow(0, row, 1)));
        pooled[row].copy_(features.pooled[0]);
        return absl::OkStatus();
      }));
  return pooled;
}

}  // namespace

absl::StatusOr<nets::EncoderFeatures> EncodeServed(const model::Encoder& encoder,
                                                   const torch::Tensor& pixels) {
  const auto rows = static_cast<size_t>(pixels.size(0));
  ORCHARD_ASSIGN_OR_RETURN(
      const core::FeatureBatch batch,
      encoder.Encode({pixels.data_ptr<std::uint8_t>(), static_cast<size_t>(pixels.numel())}, rows));
  const auto tensor = [&](core::FeatureKind kind) {
    std::vector<int64_t> shape = nets::RowShape(kind);
    shape.insert(shape.begin(), pixels.size(0));
    const std::span<const float> values = batch.Find(kind)->Floats(0, rows);
    return torch::from_blob(const_cast<float*>(values.data()), shape).clone();
  };
  return nets::EncoderFeatures{.map = tensor(core::FeatureKind::kMap),
                               .pooled = tensor(core::FeatureKind::kPooled)};
}

absl::StatusOr<torch::Tensor> PooledOfPictures(const model::Encoder& encoder,
                                               const PictureStore& store,
                                               std::span<const size_t> pictures,
                                               const vision::Profile& profile, size_t threads,
                                               const std::string& title) {
  const torch::NoGradGuard guard;
  std::vector<torch::Tensor> parts;
  const size_t chunks = (pictures.size() + kEncodedAtOnce - 1) / kEncodedAtOnce;
  Progress progress(title, chunks, static_cast<double>(kEncodedAtOnce), "pictures");
  for (size_t c = 0; c < chunks; ++c) {
    const size_t begin = c * kEncodedAtOnce;
    const std::span<const size_t> chunk =
        pictures.subspan(begin, std::min(kEncodedAtOnce, pictures.size() - begin));
    ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels,
                             FitPictures(store, chunk, profile, threads));
    ORCHARD_ASSIGN_OR_RETURN(torch::Tensor pooled, Pooled(encoder, pixels, threads));
    parts.push_back(std::move(pooled));
    progress.Update(c + 1, "");
  }
  return torch::cat(parts);
}

}  // namespace orchard::training
