#pragma once

#include <vector>

#include <torch/types.h>

#include "training/training.h"

namespace orchard::training {

/// What a step learns from: N pictures, or what a frozen network made of them.
struct Batch {
  torch::Tensor pixels = {};  ///< uint8 [N, side, side, 3]; undefined where `features` are given
  std::vector<torch::Tensor> features = {};  ///< each [N, …]; what they are, task and model agree
  std::vector<Label> labels = {};            ///< [N]; empty where pictures are mixed
  torch::Tensor targets = {};  ///< [N, C] soft targets, sum 1; undefined: `labels` say it
  torch::Tensor weights = {};  ///< [N], of the pictures in the loss; undefined: 1 each

  /// The same on `device`. To a GPU through pinned memory, so that the host goes on at once.
  Batch To(const torch::Device& device) const {
    const auto move = [&](const torch::Tensor& t) {
      if (!t.defined() || t.device() == device) return t;
      return device.is_cuda() && t.device().is_cpu()
                 ? t.pin_memory().to(device, /*non_blocking=*/true)
                 : t.to(device);
    };
    Batch moved{.pixels = move(pixels),
                .features = {},
                .labels = labels,
                .targets = move(targets),
                .weights = move(weights)};
    for (const torch::Tensor& feature : features) moved.features.push_back(move(feature));
    return moved;
  }
};

}  // namespace orchard::training
