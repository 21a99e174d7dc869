#pragma once

#include "orchard/v1/classifier.pb.h"
#include "router/model_registry.h"
#include "router/pipeline.h"
#include "router/served_model.h"

namespace orchard::router {

/// What a caller may know of the model and of this server's limits and defaults. Without
/// `limits.max_stream_in_flight`, which is the service's own. `endpoints`: with those of each
/// domain.
v1::ModelDescription Describe(const ServedModel& model, const Pipeline::Settings& settings,
                              bool endpoints);

/// Every model that there is, by name.
void AddNames(const ModelRegistry& models, v1::ModelDescription& description);

}  // namespace orchard::router
