#include "core/linear_time.h"

#include <chrono>
#include <cmath>

namespace orchard::core {
namespace {

constexpr double kKeep = 0.98;     // of a measurement's weight, with each further one
constexpr double kForget = 0.9;    // of the time, with each refusal
constexpr double kTowards0 = 0.2;  // measurements that say α = 0: decides where sizes do not differ

}  // namespace

void LinearTime::Add(double size, Clock::duration took) {
  const double seconds = Seconds(took);
  if (!(size > 0.0) || !std::isfinite(size) || seconds < 0.0) return;
  weight_ = kKeep * weight_ + 1.0;
  sizes_ = kKeep * sizes_ + size;
  squares_ = kKeep * squares_ + size * size;
  times_ = kKeep * times_ + seconds;
  products_ = kKeep * products_ + size * seconds;
  Fit();
}

/// Least squares with a pull of α towards 0:
///   (weight + pull)·α + sizes·β = times,  sizes·α + squares·β = products.
/// With equal sizes its solution is α = 0, β = time / size.
void LinearTime::Fit() {
  const double pulled = weight_ + kTowards0;
  const double determinant = pulled * squares_ - sizes_ * sizes_;  // > 0, by Cauchy-Schwarz.
  alpha_ = (times_ * squares_ - sizes_ * products_) / determinant;
  beta_ = (pulled * products_ - sizes_ * times_) / determinant;
  if (alpha_ < 0.0) {
    alpha_ = 0.0;
    beta_ = products_ / squares_;
  } else if (beta_ < 0.0) {
    alpha_ = times_ / weight_;
    beta_ = 0.0;
  }
}

Clock::duration LinearTime::Of(double count, double size) const {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(count * (alpha_ + beta_ * size)));
}

void LinearTime::Refused() {
  times_ *= kForget;
  products_ *= kForget;
  alpha_ *= kForget;
  beta_ *= kForget;
}

}  // namespace orchard::core
