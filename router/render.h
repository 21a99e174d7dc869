#pragma once

#include "orchard/v1/classifier.pb.h"
#include "router/classification.h"

namespace orchard::router {

/// A classification as the wire's message. `domains`: whether `routing.domains` is filled. The one
/// place that knows both.
v1::ClassifyResponse Render(const Classification& classification, bool domains);

}  // namespace orchard::router
