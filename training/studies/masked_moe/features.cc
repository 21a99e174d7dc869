#include "training/studies/masked_moe/features.h"

#include <algorithm>

#include "core/status.h"
#include "training/data/picture_store.h"
#include "training/log/progress.h"
#include "training/measure/served_encoder.h"

namespace orchard::training {
namespace {

torch::Tensor OnHost(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.to(torch::kCPU) : tensor;
}

torch::Tensor Joined(const std::vector<torch::Tensor>& parts) {
  return parts.empty() || !parts.front().defined() ? torch::Tensor() : torch::cat(parts);
}

/// Decodes files a chunk at a time and calls encode(pixels) for each.
template <typename Encode>
absl::StatusOr<FeatureTable> EncodeChunks(const std::vector<std::filesystem::path>& files,
                                          const vision::Profile& profile, size_t threads,
                                          const std::string& title, const Encode& encode) {
  std::vector<torch::Tensor> maps, pooled;
  const size_t chunks = (files.size() + kEncodedAtOnce - 1) / kEncodedAtOnce;
  Progress progress(title, chunks, static_cast<double>(kEncodedAtOnce), "pictures");
  for (size_t c = 0; c < chunks; ++c) {
    const auto begin = files.begin() + static_cast<std::ptrdiff_t>(c * kEncodedAtOnce);
    const auto end = files.begin() +
                     static_cast<std::ptrdiff_t>(std::min(files.size(), (c + 1) * kEncodedAtOnce));
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
  return EncodeChunks(files, profile, threads, title,
                      [&](const torch::Tensor& pixels) { return EncodeServed(encoder, pixels); });
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
  for (const torch::Tensor& index : rows.split(static_cast<int64_t>(kEncodedAtOnce))) {
    const nets::EncoderFeatures part_of = features.Rows(index);
    const Logits part =
        network.Forward({.map = part_of.map.to(device), .pooled = part_of.pooled.to(device)});
    branch.push_back(OnHost(part.gates.branch));
    for (size_t b = 0; b < domain.size(); ++b) domain[b].push_back(OnHost(part.gates.domain[b]));
    for (size_t g = 0; g < classes.size(); ++g) classes[g].push_back(OnHost(part.classes[g]));
  }
  all.gates.branch = Joined(branch);
  for (const auto& parts : domain) all.gates.domain.push_back(Joined(parts));
  for (const auto& parts : classes) all.classes.push_back(Joined(parts));
  return all;
}

}  // namespace orchard::training
