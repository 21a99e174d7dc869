#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/types.h>

#include "nets/mobilenet_v2.h"
#include "orchard/v1/model.pb.h"
#include "training/loop/standardise.h"

namespace orchard::training {

/// Runs the encoder forwards and backwards over a batch cut into shards, each on one of `threads`
/// threads with a single intra-op thread of its own.
///
/// Why: a convolution that two threads share waits for the slower one after every layer; here they
/// meet once a batch, which on a machine that also does other work is worth a third of the time.
/// Gradients are added in the order of shards, so that the result depends on the number of shards
/// and on nothing else. Not thread-safe.
class ShardedEncoder {
 public:
  struct Options {
    int64_t first_trained = 0;  ///< blocks before it get no gradient
    int64_t shard = 16;  ///< pictures; from 16 on ATen gives 1x1 kernels to oneDNN, not to BLAS
    size_t threads = 2;
  };

  ShardedEncoder(nets::MobileNetV2 encoder, const orchard::v1::Preprocessing& preprocessing,
                 const Options& options);

  /// uint8 [N, H, W, 3] → features that are leaves of the graph: what backward() leaves in their
  /// gradients is what Backward takes.
  nets::EncoderFeatures Forward(const torch::Tensor& pixels);

  /// Adds to the gradient of every trained parameter of the encoder. Once after each Forward.
  void Backward(const nets::EncoderFeatures& features);

  /// The same without a graph. Any number of pictures.
  nets::EncoderFeatures Encode(const torch::Tensor& pixels);

 private:
  /// uint8 [N, H, W, 3] → [N, 3, H, W] in the encoder's own precision.
  torch::Tensor Standardised(const torch::Tensor& pixels) const;

  /// Calls `work` with every shard's number below `count`.
  void OnThreads(size_t count, const std::function<void(size_t)>& work) const;

  nets::MobileNetV2 encoder_;
  Standardise standardise_;
  Options options_;
  std::vector<torch::Tensor> trained_;         // parameters
  std::vector<nets::EncoderFeatures> shards_;  // with their graphs, from Forward to Backward
};

}  // namespace orchard::training
