#include "bench/fleet/times.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace orchard::bench {

double Random::Exponential(double mean) { return -std::log1p(-Uniform()) * mean; }

size_t Random::Below(size_t count) {
  const auto below = static_cast<size_t>(Uniform() * static_cast<double>(count));
  return std::min(below, count - 1);
}

absl::StatusOr<Times> Times::Measured(std::vector<Quantile> quantiles) {
  if (quantiles.size() < 2 || quantiles.front().share != 0.0 || quantiles.back().share != 1.0) {
    return absl::InvalidArgumentError("quantiles must go from share 0 to share 1");
  }
  double mean = 0.0;
  for (size_t i = 0; i < quantiles.size(); ++i) {
    const Quantile& here = quantiles[i];
    if (!(here.seconds >= 0.0) || !std::isfinite(here.seconds)) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "the quantile of %g is %g; it must be 0 or more", here.share, here.seconds));
    }
    if (i == 0) continue;
    const Quantile& before = quantiles[i - 1];
    if (here.share <= before.share || here.seconds < before.seconds) {
      return absl::InvalidArgumentError(
          absl::StrFormat("quantiles must ascend; that of %g is %g, after %g of %g", here.share,
                          here.seconds, before.seconds, before.share));
    }
    mean += (here.share - before.share) * (here.seconds + before.seconds) / 2.0;
  }
  Times times(Law::kMeasured, mean);
  times.quantiles_ = std::move(quantiles);
  return times;
}

double Times::Draw(Random& random) const {
  if (law_ == Law::kConstant) return mean_;
  if (law_ == Law::kExponential) return random.Exponential(mean_);
  const double share = random.Uniform();
  const auto above = std::ranges::upper_bound(quantiles_, share, {}, &Quantile::share);
  const auto below = above - 1;
  const double part = (share - below->share) / (above->share - below->share);
  return below->seconds + part * (above->seconds - below->seconds);
}

}  // namespace orchard::bench
