#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nets/vit_moe/vit_moe.h"
#include "orchard/v1/network.pb.h"

namespace orchard::nets {

/// What `network` says, with its defaults. What only training knows (dropout, noise, the bias's
/// step) is as in a fresh VitOptions. `network` has no fault of NetworkFaults.
VitOptions OptionsOf(const v1::VitMoe& network, int64_t classes);

/// What keeps it from answering pictures, one sentence each, beside Faults(OptionsOf(network)): a
/// router whose answer for a picture depends on its batch.
std::vector<std::string> ServingFaults(const v1::VitMoe& network);

}  // namespace orchard::nets
