#include "training/features.h"

#include <algorithm>

#include "core/status.h"
#include "training/picture_store.h"
#include "training/progress.h"

namespace orchard::training {
namespace {

constexpr size_t kChunk = 128;  ///< pictures decoded and encoded at a time

torch::Tensor Joined(const std::vector<torch::Tensor>& parts) {
  return parts.empty() || !parts.front().defined() ? torch::Tensor() : torch::cat(parts);
}

}  // namespace

nets::EncoderFeatures FeatureTable::Rows(const torch::Tensor& index, bool with_map) const {
  return {.map = with_map ? map.index_select(0, index).to(torch::kFloat32) : torch::Tensor(),
          .pooled = pooled.index_select(0, index)};
}

absl::StatusOr<FeatureTable> EncodeFiles(ShardedEncoder& encoder,
                                         const std::vector<std::filesystem::path>& files,
                                         const vision::Profile& profile, size_t threads,
                                         const std::string& title) {
  std::vector<torch::Tensor> maps, pooled;
  const size_t chunks = (files.size() + kChunk - 1) / kChunk;
  Progress progress(title, chunks, static_cast<double>(kChunk), "pictures");
  for (size_t c = 0; c < chunks; ++c) {
    const auto begin = files.begin() + static_cast<std::ptrdiff_t>(c * kChunk);
    const auto end =
        files.begin() + static_cast<std::ptrdiff_t>(std::min(files.size(), (c + 1) * kChunk));
    ORCHARD_ASSIGN_OR_RETURN(const torch::Tensor pixels,
                             DecodeForServing({begin, end}, profile, threads));
    const nets::EncoderFeatures features = encoder.Encode(pixels);
    maps.push_back(features.map.to(torch::kFloat16).contiguous());
    pooled.push_back(features.pooled);
    progress.Update(c + 1, "");
  }
  return FeatureTable{.map = Joined(maps), .pooled = Joined(pooled)};
}

Logits Evaluate(MaskedMoeImpl& network, const FeatureTable& features) {
  const torch::NoGradGuard guard;
  network.eval();
  Logits all;
  std::vector<torch::Tensor> branch;
  std::vector<std::vector<torch::Tensor>> domain(network.branches().size());
  std::vector<std::vector<torch::Tensor>> classes(network.domains().size());
  const torch::Tensor rows = torch::arange(features.pooled.size(0), torch::kLong);
  for (const torch::Tensor& index : rows.split(static_cast<int64_t>(kChunk))) {
    const Logits part = network.Forward(features.Rows(index));
    branch.push_back(part.branch);
    for (size_t b = 0; b < domain.size(); ++b) domain[b].push_back(part.domain[b]);
    for (size_t g = 0; g < classes.size(); ++g) classes[g].push_back(part.classes[g]);
  }
  all.branch = Joined(branch);
  for (const auto& parts : domain) all.domain.push_back(Joined(parts));
  for (const auto& parts : classes) all.classes.push_back(Joined(parts));
  return all;
}

}  // namespace orchard::training
