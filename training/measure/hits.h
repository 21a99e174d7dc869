#pragma once

#include <cstddef>
#include <vector>

namespace orchard::training {

/// Hits and pictures.
struct Hits {
  size_t hits = 0;
  size_t total = 0;

  void Count(bool hit) {
    hits += hit ? 1 : 0;
    ++total;
  }

  double Share() const {
    return total == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(total);
  }
};

/// Mean of the shares of domains with pictures.
inline double MeanShare(const std::vector<Hits>& domains) {
  double sum = 0.0;
  size_t counted = 0;
  for (const Hits& domain : domains) {
    if (domain.total == 0) continue;
    sum += domain.Share();
    ++counted;
  }
  return counted == 0 ? 0.0 : sum / static_cast<double>(counted);
}

}  // namespace orchard::training
