#pragma once

#include "orchard/v1/model.pb.h"
#include "vision/vision.h"

namespace orchard::router {

/// The geometry of a network's input, for vision/.
vision::Profile ProfileOf(const v1::Preprocessing& preprocessing);

}  // namespace orchard::router
