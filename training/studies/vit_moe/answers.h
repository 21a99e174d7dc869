#pragma once

#include <vector>

#include <torch/types.h>

#include "nets/sparse/routing_totals.h"
#include "nets/vit_moe/vit_moe.h"
#include "training/loop/standardise.h"

namespace orchard::training {

/// What a network says of pictures, and how its layers routed them.
struct VitAnswers {
  torch::Tensor log_probabilities;           ///< [N, C] float32, on the host
  std::vector<nets::RoutingTotals> routing;  ///< of each layer that routes
  /// [N] float64, on the host: of each picture the mean over tokens and layers of the routers'
  /// uncertainty, tr S (models.md section 6.2). Undefined where no router has one.
  torch::Tensor uncertainty{};
};

/// Runs `network` in evaluation mode, in FP32, on its own device. `pixels` uint8 [N, side, side,
/// 3], N ≥ 1.
VitAnswers Ask(nets::Vit& network, const Standardise& standardise, const torch::Tensor& pixels,
               int64_t batch = 256);

/// [layers][E]: the share of picks that each expert had.
std::vector<std::vector<double>> ExpertLoad(const std::vector<nets::RoutingTotals>& routing);

}  // namespace orchard::training
