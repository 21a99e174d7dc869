#pragma once

#include <string>

#include "bench/fleet/simulation.h"

namespace orchard::bench {

/// What came of a simulation, as one JSON object; `wall_seconds` is how long it took.
std::string ReportJson(Simulation& simulation, double wall_seconds);

}  // namespace orchard::bench
