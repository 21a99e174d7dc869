#include "training/studies/masked_moe/sharded_encoder.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include "training/studies/masked_moe/folded.h"

namespace orchard::training {
namespace {

nets::EncoderFeatures Joined(const std::vector<nets::EncoderFeatures>& shards) {
  std::vector<torch::Tensor> maps, pooled;
  for (const nets::EncoderFeatures& shard : shards) {
    maps.push_back(shard.map.detach());
    pooled.push_back(shard.pooled.detach());
  }
  return {.map = torch::cat(maps), .pooled = torch::cat(pooled)};
}

}  // namespace

ShardedEncoder::ShardedEncoder(nets::MobileNetV2 encoder,
                               const orchard::v1::Preprocessing& preprocessing,
                               const Options& options)
    : encoder_(std::move(encoder)),
      standardise_(preprocessing, encoder_->parameters().at(0).device()),
      options_(options) {
  for (const torch::Tensor& parameter : encoder_->parameters()) {
    if (parameter.requires_grad()) trained_.push_back(parameter);
  }
  if (!encoder_->parameters().at(0).device().is_cpu()) {  // A GPU wants the batch whole, from one
                                                          // thread.
    options_.threads = 1;
    options_.shard = std::numeric_limits<int64_t>::max();
  }
}

void ShardedEncoder::OnThreads(size_t count, const std::function<void(size_t)>& work) const {
  std::atomic<size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const bool gradients = torch::GradMode::is_enabled();
  const auto run = [&] {
    // Sets this thread's OpenMP threads, and ATen's default of the process with them: threads that
    // never set their own have 1 from then on. The caller's stay as PrepareRun set them.
    at::set_num_threads(1);
    const torch::AutoGradMode mode(gradients);
    try {
      for (size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      failure = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> workers;
    const size_t threads = std::min(std::max<size_t>(options_.threads, 1), count);
    for (size_t t = 0; t < threads; ++t) workers.emplace_back(run);
  }
  if (failure) std::rethrow_exception(failure);
}

torch::Tensor ShardedEncoder::Standardised(const torch::Tensor& pixels) const {
  return standardise_(pixels).to(encoder_->parameters().at(0).scalar_type());
}

nets::EncoderFeatures ShardedEncoder::Forward(const torch::Tensor& pixels) {
  const std::vector<torch::Tensor> parts = pixels.split(options_.shard);
  shards_.assign(parts.size(), {});
  OnThreads(parts.size(), [&](size_t i) {
    shards_[i] = FoldedForward(encoder_, Standardised(parts[i]), options_.first_trained);
  });
  nets::EncoderFeatures features = Joined(shards_);
  if (!trained_.empty()) {
    features.map.requires_grad_();
    features.pooled.requires_grad_();
  }
  return features;
}

void ShardedEncoder::Backward(const nets::EncoderFeatures& features) {
  if (trained_.empty()) return;
  std::vector<std::vector<torch::Tensor>> gradients(shards_.size());
  OnThreads(shards_.size(), [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(i) * options_.shard;
    torch::autograd::variable_list outputs, upstream;
    const auto add = [&](const torch::Tensor& output, const torch::Tensor& whole) {
      if (!whole.grad().defined() || !output.requires_grad()) return;
      outputs.push_back(output);
      upstream.push_back(whole.grad().narrow(0, begin, output.size(0)));
    };
    add(shards_[i].map, features.map);
    add(shards_[i].pooled, features.pooled);
    if (outputs.empty()) return;
    gradients[i] = torch::autograd::grad(outputs, trained_, upstream, /*retain_graph=*/false,
                                         /*create_graph=*/false, /*allow_unused=*/true);
    shards_[i] = {};
  });
  const torch::NoGradGuard guard;
  for (size_t p = 0; p < trained_.size(); ++p) {
    torch::Tensor& sum = trained_[p].mutable_grad();
    for (const auto& shard : gradients) {
      if (shard.empty() || !shard[p].defined()) continue;
      sum = sum.defined() ? sum + shard[p] : shard[p];
    }
  }
}

nets::EncoderFeatures ShardedEncoder::Encode(const torch::Tensor& pixels) {
  const torch::NoGradGuard guard;
  const std::vector<torch::Tensor> parts = pixels.split(options_.shard);
  std::vector<nets::EncoderFeatures> shards(parts.size());
  OnThreads(parts.size(), [&](size_t i) {
    shards[i] = FoldedForward(encoder_, Standardised(parts[i]), options_.first_trained);
  });
  return Joined(shards);
}

}  // namespace orchard::training
