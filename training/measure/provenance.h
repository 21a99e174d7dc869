#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"

#include "orchard/v1/model.pb.h"

namespace orchard::training {

/// The heading of the measured part of a PROVENANCE.md.
inline constexpr const char* kMeasured = "## Measured\n";

/// What stands below that heading, from a manifest's evaluation.
std::string MeasuredText(const orchard::v1::Evaluation& evaluation);

/// Replaces it in <out>/PROVENANCE.md, up to the next heading: what follows is not ours to change.
/// Errors name the file.
absl::Status UpdateProvenance(const std::filesystem::path& out,
                              const orchard::v1::Evaluation& evaluation);

}  // namespace orchard::training
