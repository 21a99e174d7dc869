#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "training/measure/hits.h"
#include "training/measure/statistics.h"

/// \file
/// Networks compared on the same pictures, each of which was held out once by each of several
/// seeds. Pure functions. Source: models.md section 7.5.

namespace orchard::training {

/// How one network, an arm of the comparison, answered N pictures: 1 where it was right, else 0.
struct Arm {
  std::string name;
  std::vector<std::vector<std::uint8_t>> right;  ///< [S][N], by seed
  std::vector<std::uint8_t> vote_right;          ///< [N]: what most seeds answered
};

struct ArmFigures {
  std::vector<Hits> seeds{};  ///< [S]
  double mean = 0.0;          ///< of their accuracies
  Hits vote{};
  Interval interval{};  ///< of the votes' accuracy, 95 %, Wilson
};

/// The first arm against the second.
struct PairFigures {
  size_t first = 0, second = 0;  ///< indices of the arms
  Paired votes{};
  Interval interval{};           ///< of the difference of the votes' accuracies, 95 %, Newcombe
  double p = 1.0;                ///< McNemar's, exact, of the votes
  double holm = 1.0;             ///< the same, adjusted for all pairs
  double mean_difference = 0.0;  ///< of accuracies, over seeds
  Interval bootstrap{};          ///< of that, 95 %
};

struct Comparison {
  std::vector<ArmFigures> arms;
  std::vector<PairFigures> pairs;  ///< every two arms, in their order
};

struct BootstrapOptions {
  size_t draws = 2000;
  std::uint64_t seed = 0;
};

/// `fold` [N]: in which each picture was held out. Every arm has the same S ≥ 1 and N ≥ 1.
Comparison CompareArms(std::span<const Arm> arms, std::span<const size_t> fold,
                       const BootstrapOptions& options);

/// 95 % interval of the mean difference of two arms' accuracies: both levels are drawn with
/// replacement, seeds and, within each fold, pictures (the same for both arms and all seeds);
/// percentiles of the means.
Interval BootstrapDifference(const Arm& first, const Arm& second, std::span<const size_t> fold,
                             const BootstrapOptions& options);

}  // namespace orchard::training
