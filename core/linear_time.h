#pragma once

#include "core/clock.h"

namespace orchard::core {

/// How long work of a size takes: α + β·size, fitted to what was measured, where each new
/// measurement counts 2 % and older ones fade. For micro-batches (size: pictures, rows) and for
/// decoding (size: bytes).
///
/// Sizes that never change can't tell α from β: then time counts as proportional to size, which on
/// a CPU is nearly true and errs to the careful side for sizes above those seen. Neither α nor β is
/// ever negative. Not thread-safe: the owner locks.
class LinearTime {
 public:
  /// `size` > 0. Anything else, and a negative time, is ignored.
  void Add(double size, Clock::duration took);

  /// Of work of `size`; of `count` pieces of work of `size` together. Zero until something was
  /// added.
  Clock::duration Of(double size) const { return Of(1.0, size); }
  Clock::duration Of(double count, double size) const;

  /// Whether anything was added.
  bool known() const { return weight_ > 0.0; }

  /// Seconds, and seconds a unit of size: for gauges.
  double alpha() const { return alpha_; }
  double beta() const { return beta_; }

  /// Lowers the estimate by a tenth, until something new is measured: for who refuses for want of
  /// this time while nothing is in progress that could measure anew. Were only what is let in to
  /// count, one slow spell could refuse everything for ever.
  void Refused();

 private:
  void Fit();

  // Faded sums over the measurements: of 1, size, size², time, size·time.
  double weight_ = 0.0, sizes_ = 0.0, squares_ = 0.0, times_ = 0.0, products_ = 0.0;
  double alpha_ = 0.0, beta_ = 0.0;
};

}  // namespace orchard::core
