#include "training/studies/masked_moe/features.h"

#include <algorithm>

#include "core/status.h"
#include "training/data/picture_store.h"
#include "training/log/progress.h"

namespace orchard::training {
namespace {

constexpr size_t kChunk = 128;  ///< pictures decoded and encoded at a time

torch::Tensor OnHost(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.to(torch::kCPU) : tensor;
}

torch::Tensor Joined(const std::vector<torch::Tensor>& parts) {
  return parts.empty() || !parts.front().defined() ? torch::Tensor() : torch::cat(parts);
}

}  // namespace

nets::EncoderFeatures FeatureTable::Rows(const torch::Tensor& index, bool with_map) const {
  return {.map = with_map ? map.index_select(0, index).to(torch::kFloat32) : torch::Tensor(),
          .pooled = pooled.index_select(0, index)};
}

namespace {

/// Decodes files a chunk at a time and calls encode(pixels) for each.
template <typename Encode>
absl::StatusOr<FeatureTable> EncodeChunks(const std::vector<std::filesystem::path>& files,
                                          const vision::Profile& profile, size_t threads,
                                          const std::string& title, const Encode& encode) {
  std::vector<torch::Tensor> maps, pooled;
  const size_t chunks = (files.size() + kChunk - 1) / kChunk;
  Progress progress(title, chunks, static_cast<double>(kChunk), "pictures");
  for (size_t c = 0; c < chunks; ++c) {
    const auto begin = files.begin() + static_cast<std::ptrdiff_t>(c * kChunk);
    const auto end =
        files.begin() + static_cast<std::ptrdiff_t>(std::min(files.size(), (c + 1) * kChunk));
    ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels,
                             DecodeForServing({begin, end}, profile, threads));
    ORCHARD_ASSIGN_OR_RETURN(const nets::EncoderFeatures features, encode(pixels));
    maps.push_back(features.map.to(torch::kCPU, torch::kFloat16).contiguous());
    pooled.push_back(features.pooled.to(torch::kCPU));
    progress.Update(c + 1, "");
  }
  return FeatureTable{.map = Joined(maps), .pooled = Joined(pooled)};
}

}  // namespace

absl::StatusOr<FeatureTable> EncodeFiles(ShardedEncoder& encoder,
                                         const std::vector<std::filesystem::path>& files,
                                         const vision::Profile& profile, size_t threads,
                                         const std::string& title) {
  return EncodeChunks(files, profile, threads, title,
                      [&](const torch::Tensor& pixels) -> absl::StatusOr<nets::EncoderFeatures> {
                        return encoder.Encode(pixels);
                      });
}

absl::StatusOr<FeatureTable> EncodeFiles(const model::Encoder& encoder,
                                         const std::vector<std::filesystem::path>& files,
                                         const vision::Profile& profile, size_t threads,
                                         const std::string& title) {
  return EncodeChunks(
      files, profile, threads, title,
      [&](const torch::Tensor& pixels) -> absl::StatusOr<nets::EncoderFeatures> {
        const auto rows = static_cast<size_t>(pixels.size(0));
        ORCHARD_ASSIGN_OR_RETURN(
            core::FeatureBatch batch,
            encoder.Encode({pixels.data_ptr<std::uint8_t>(), static_cast<size_t>(pixels.numel())},
                           rows));
        std::vector<int64_t> map = nets::RowShape(core::FeatureKind::kMap);
        map.insert(map.begin(), pixels.size(0));
        const auto tensor = [&](core::FeatureKind kind, const std::vector<int64_t>& shape) {
          const std::span<const float> values = batch.Find(kind)->Floats(0, rows);
          return torch::from_blob(const_cast<float*>(values.data()), shape).clone();
        };
        return nets::EncoderFeatures{
            .map = tensor(core::FeatureKind::kMap, map),
            .pooled = tensor(core::FeatureKind::kPooled, {pixels.size(0), nets::kPooledWidth})};
      });
}

Logits Evaluate(MaskedMoeImpl& network, const FeatureTable& features) {
  const torch::NoGradGuard guard;
  network.eval();
  Logits all;
  std::vector<torch::Tensor> branch;
  std::vector<std::vector<torch::Tensor>> domain(network.branches().size());
  std::vector<std::vector<torch::Tensor>> classes(network.domains().size());
  const torch::Tensor rows = torch::arange(features.pooled.size(0), torch::kLong);
  const torch::Device device = network.parameters().at(0).device();
  for (const torch::Tensor& index : rows.split(static_cast<int64_t>(kChunk))) {
    const nets::EncoderFeatures part_of = features.Rows(index);
    const Logits part =
        network.Forward({.map = part_of.map.to(device), .pooled = part_of.pooled.to(device)});
    branch.push_back(OnHost(part.branch));
    for (size_t b = 0; b < domain.size(); ++b) domain[b].push_back(OnHost(part.domain[b]));
    for (size_t g = 0; g < classes.size(); ++g) classes[g].push_back(OnHost(part.classes[g]));
  }
  all.branch = Joined(branch);
  for (const auto& parts : domain) all.domain.push_back(Joined(parts));
  for (const auto& parts : classes) all.classes.push_back(Joined(parts));
  return all;
}

}  // namespace orchard::training
