#pragma once

#include "orchard/v1/classifier.pb.h"
#include "orchard/v1/model.pb.h"
#include "router/fleet.h"
#include "router/pipeline.h"

namespace orchard::router {

/// What a caller may know of the model and of this server's limits and defaults. Without
/// `limits.max_stream_in_flight`, which is the service's own. `endpoints`: with those of each
/// domain.
v1::ModelDescription Describe(const v1::ModelManifest& manifest, const Catalogue& catalogue,
                              const Pipeline::Settings& settings, const ExpertFleet& fleet,
                              bool endpoints);

}  // namespace orchard::router
