#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include <google/protobuf/message.h>

/// \file
/// Protobuf messages as canonical proto3 JSON, strictly and always the same.

namespace orchard::model::internal {

enum class Layout { kCompact, kReadable };

/// Canonical proto3 JSON. Fields in the order of their numbers, entries of maps by key: equal
/// messages give equal text.
std::string ToJson(const google::protobuf::Message& message, Layout layout);

/// Parses canonical proto3 JSON into `message`. Unknown fields are errors. Errors:
/// INVALID_ARGUMENT naming `file` and the parser's reason.
absl::Status FromJson(std::string_view json, std::string_view file,
                      google::protobuf::Message& message);

}  // namespace orchard::model::internal
