#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// \file
/// What a layer of in-network experts does, in figures (models.md section 4.1). health.h says how
/// even a load is; here is whether the router decides anything, and whether its choice has to do
/// with the classes.

namespace orchard::moe {

/// Sums over a fixed pass of tokens through one layer of E experts, K a token.
struct LayerSums {
  size_t top_k = 1;
  double tokens = 0.0;
  double entropy = 0.0;               ///< Σ over tokens of H(p), nats
  std::vector<double> picks{};        ///< [E]
  std::vector<double> probability{};  ///< [E]: Σ over tokens of p
};

struct LayerMeasures {
  double effective_experts = 0.0;  ///< exp(H(f)), [K, E]
  double max_over_mean = 1.0;      ///< E · max f, [1, E / K]
  double cv_squared = 0.0;         ///< E · Σ f² - 1: population variance over mean²
  double cv_squared_unbiased =
      0.0;                          ///< the same from the unbiased variance, as some ports print it
  double gini = 0.0;                ///< Σ_ij |f_i - f_j| / 2E, [0, 1 - K / E]
  double normalised_entropy = 1.0;  ///< H(f) / ln E
  double balance = 1.0;             ///< E · Σ f P (Switch)
  double token_entropy = 0.0;       ///< h: mean over tokens of H(p) / ln E, [0, 1]
  double gate_information = 0.0;    ///< J: (H(P) - mean H(p)) / ln E, [0, 1]
  size_t dead = 0;                  ///< experts with f < .1 / E
};

/// Without a token: the values of a router that decides nothing.
LayerMeasures Measure(const LayerSums& sums);

/// Mutual information of a table of counts [rows][columns].
struct MutualInformation {
  double nats = 0.0;
  double corrected = 0.0;       ///< less (rows - 1)(columns - 1) / 2n (Miller and Madow), ≥ 0
  double column_entropy = 0.0;  ///< H(column), nats
  double normalised = 0.0;      ///< corrected / H(column); 0 where H is 0
};

/// `independent`: how many observations are independent of each other; tokens of one picture are
/// not, so it is the number of pictures. Rows and columns without counts don't count as such.
MutualInformation InformationOf(const std::vector<std::vector<double>>& counts, double independent);

/// Class and expert: I(Y; e) with its significance.
struct ClassInformation {
  MutualInformation information{};
  double p_value =
      1.0;  ///< share of label permutations with as much information, (1 + x) / (1 + n)
};

/// labels [pictures] in [0, classes), picks [pictures][E]. The same `seed` gives the same p.
ClassInformation ClassAndExpert(std::span<const size_t> labels, size_t classes,
                                const std::vector<std::vector<double>>& picks, size_t permutations,
                                std::uint64_t seed);

}  // namespace orchard::moe
