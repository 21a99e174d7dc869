#pragma once

#include <string>
#include <vector>

#include "orchard/v1/network.pb.h"

namespace orchard::training {

/// Notes what is wrong with the head that a recipe names at `place` ("masked_moe.gate"): an unknown
/// network, values out of range, one that reads pictures, and with `pooled`, as a gate must, one
/// that reads the map.
void CheckHead(const orchard::v1::Network& head, const std::string& place, bool pooled,
               std::vector<std::string>& faults);

}  // namespace orchard::training
