#pragma once

#include <cstddef>
#include <string>

#include "orchard/v1/classifier.pb.h"

namespace orchard::client {

/// One answer as one line of JSON: every field always there, snake_case, numbers in full precision.
/// The fields are docs/clients.md's; `latency_ms` is what the caller waited.
std::string AnswerJson(const std::string& file, const v1::ClassifyResponse& response,
                       double latency_ms);

/// One answer as an aligned line for people: file, class, probability, domain, outcome; degraded
/// answers say what is missing. `file_width` is the widest file name, in columns.
std::string AnswerLine(const std::string& file, const v1::ClassifyResponse& response,
                       size_t file_width);

/// The heading of AnswerLine's columns.
std::string AnswerHeading(size_t file_width);

/// {"name", "version", "domains": [{"name", "branch", "classes": […]}], …}, indented.
std::string DescriptionJson(const v1::ModelDescription& model);

/// The same for people: one line a domain, then defaults, limits and measured accuracy.
std::string DescriptionText(const v1::ModelDescription& model);

}  // namespace orchard::client
