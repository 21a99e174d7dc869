#pragma once

#include "absl/status/status.h"

#include "training/study.h"

namespace orchard::training {

/// Makes a version folder of a run's gates over finished experts, one a domain, which
/// `options.experts` names (ReadExperts). Experts keep their file, byte by byte, architecture,
/// preprocessing, classes, temperature and version. The gates' temperatures are fitted on
/// validation pictures and the unknown-domain score on training pictures, both on features of the
/// served encoder; the thresholds and the reference of routing on what the whole model, served in
/// this process, answers to validation pictures. Pictures that an expert was trained on count as
/// training pictures.
///
/// evaluation/ holds the recipe, each expert's as <domain>.recipe.textproto, and, where no domain's
/// source has a test side of its own, who was on which side. The folder is made in the work folder
/// and copied when it is whole, the manifest last.
/// Errors: ALREADY_EXISTS when the folder holds a manifest and it is not to be replaced; NOT_FOUND
/// naming what a finished run would have; those of ReadExperts, ReadPictureSet, TakeSplit and
/// DrawPictures.
absl::Status ExportGates(const RunPlaces& places, const ExportOptions& options);

}  // namespace orchard::training
