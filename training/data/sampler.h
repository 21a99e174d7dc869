#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "training/training.h"

namespace orchard::training {

/// Draws the pictures of an epoch: a domain, then one of its classes, then one of its pictures.
///
/// A domain has the weight factor · count^domain_power, a class inside it count^class_power.
/// Domains are drawn systematically (evenly spaced points on the cumulated weights), so that every
/// batch has almost the same mix; pictures of a class are dealt from a shuffled deck, so that all
/// were seen before one comes again. Not thread-safe. The same arguments give the same epochs.
class Sampler {
 public:
  struct Options {
    double domain_power = 0.5;
    double class_power = 0.5;
    std::vector<double> domain_factors = {};  ///< [G]: times a domain's weight; empty: 1 each
    size_t batch = 32;                        ///< pictures
    std::uint64_t seed = 0;
  };

  /// `labels`: of the pictures to draw from, by their index.
  Sampler(std::span<const Label> labels, const Options& options);

  /// Indices of the next epoch's pictures, batch by batch; whole batches only, at least one.
  std::vector<size_t> NextEpoch(size_t pictures);

  /// How probable each domain is.
  const std::vector<double>& domain_probabilities() const { return domain_; }

 private:
  struct Deck {
    std::vector<size_t> pictures;
    size_t dealt = 0;
  };

  size_t Deal(Deck& deck);

  Options options_;
  std::mt19937_64 random_;
  std::vector<double> domain_;              // [G]: probability
  std::vector<std::vector<double>> class_;  // [G][C_g]: probability inside the domain
  std::vector<std::vector<Deck>> decks_;    // [G][C_g]
};

}  // namespace orchard::training
