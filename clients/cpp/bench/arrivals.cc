#include "clients/cpp/bench/arrivals.h"

#include <chrono>
#include <cmath>

namespace orchard::client {

core::Clock::duration PoissonArrivals::Next() {
  // In (0, 1]: std::exponential_distribution gives other numbers with another library.
  const double uniform = static_cast<double>((random_() >> 11) + 1) * 0x1p-53;
  seconds_ += -std::log(uniform) / rate_;
  return std::chrono::duration_cast<core::Clock::duration>(std::chrono::duration<double>(seconds_));
}

}  // namespace orchard::client
