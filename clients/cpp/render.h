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
/// answers say what is missing, and why where the server says it. Names and the server's words are
/// shown as text (core::Printable). `file_width`: columns of the widest FileWidth.
std::string AnswerLine(const std::string& file, const v1::ClassifyResponse& response,
                       size_t file_width);

/// Columns that AnswerLine needs for a file's name.
size_t FileWidth(const std::string& file);

/// The heading of AnswerLine's columns.
std::string AnswerHeading(size_t file_width);

/// {"name", "version", "domains": [{"name", "branch", "classes": […]}], …}, indented.
std::string DescriptionJson(const v1::ModelDescription& model);

/// The same for people: one line a domain, then defaults, limits and measured accuracy.
std::string DescriptionText(const v1::ModelDescription& model);

/// {"models": [{"name", "version", "domains": […]}]}, indented: every model of the server.
std::string ModelsJson(const v1::ModelDescription& model);

/// The same for people: one line a model.
std::string ModelsText(const v1::ModelDescription& model);

/// The addresses of the experts for people: one line each, domain, address, state, rows in flight,
/// latency, part version and encoder fingerprint; a domain whose expert runs inside the server, or
/// has no address, says so.
std::string EndpointsText(const v1::ModelDescription& model);

}  // namespace orchard::client
