#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

#include "training/data/batch.h"
#include "training/training.h"

/// \file
/// Batches whose pictures are made of two: CutMix and mixup. Only pixels and targets change, so
/// that it works for any network that takes soft targets.

namespace orchard::training {

/// How often, and how evenly, pictures are mixed.
struct Mixing {
  double cutmix = 0.0;        ///< probability that a batch is cut and mixed
  double cutmix_alpha = 1.0;  ///< λ ~ Beta(alpha, alpha)
  double mixup = 0.0;         ///< probability that it is blended instead; the sum is at most 1
  double mixup_alpha = 0.2;   ///< λ ~ Beta(alpha, alpha)

  bool on() const { return cutmix > 0.0 || mixup > 0.0; }
};

/// A rectangle of a view, [left, right) × [top, bottom), pixels.
struct Box {
  size_t left = 0;
  size_t top = 0;
  size_t right = 0;
  size_t bottom = 0;

  size_t area() const { return (right - left) * (bottom - top); }
};

/// CutMix's box: sides √(1 - λ) of the view's, about a centre at these shares of its sides, cut off
/// at the view's edge. Source: Yun et al. 2019 (arXiv:1905.04899).
Box CutBox(size_t side, double lambda, double across, double down);

/// Beta(alpha, alpha), alpha in (0, 2]. Not the library's, whose values are its own affair.
double DrawBeta(double alpha, std::mt19937_64& random);

/// Mixes a batch of pixels with labels, or leaves it as it is, by what `seed` draws. Where it
/// mixes, each picture gets a partner by one permutation, and `targets`, FP32 [N, classes], become
/// λ · one(a) + (1 - λ) · one(b) with the share that the pixels really have (of CutMix: after the
/// box was cut off); `labels` are emptied. `flat`: of each picture, its index among the classes of
/// all domains. Batches of less than two pictures stay as they are.
/// Source of mixup: Zhang et al. 2018 (arXiv:1710.09412).
void MixPictures(const Mixing& mixing, std::span<const size_t> flat, size_t classes,
                 std::uint64_t seed, Batch& batch);

}  // namespace orchard::training
