#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include "orchard/training/v1/recipe.pb.h"
#include "training/training.h"

namespace orchard::training {

/// Keeps at most `quota` (of each domain; 0: all) pictures of every class.
///
/// RANDOM is a seeded draw. MEDOID runs k-means with k = quota on the class's pooled features
/// (k-means++ start, Lloyd) and keeps the picture nearest to each centre: real pictures, spread as
/// the class is. `pooled`, [N, 1280], may be undefined for RANDOM. Returns indices, ascending.
std::vector<size_t> Undersample(std::span<const Label> labels, std::span<const size_t> quota,
                                v1::Undersampling method, const torch::Tensor& pooled,
                                std::uint64_t seed);

/// k rows of `points` [N, D], nearest to the centres of k-means, all different. k <= N.
std::vector<size_t> Medoids(const torch::Tensor& points, size_t k, std::uint64_t seed);

}  // namespace orchard::training
