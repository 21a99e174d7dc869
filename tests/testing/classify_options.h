#pragma once

#include <string>

#include "orchard/v1/classifier.pb.h"

namespace orchard::testing {

inline v1::ClassifyOptions With(v1::Policy policy) {
  v1::ClassifyOptions options;
  options.set_policy(policy);
  return options;
}

inline v1::ClassifyOptions Pinned(const std::string& domain) {
  v1::ClassifyOptions options;
  options.set_domain(domain);
  return options;
}

}  // namespace orchard::testing
