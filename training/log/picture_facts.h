#pragma once

#include <vector>

#include "training/data/picture_set.h"
#include "training/log/run_log.h"

namespace orchard::training {

/// What a run log keeps of a run's pictures: counts of domains, classes, pictures of each side and
/// what was skipped ("data"), and of each domain's training pictures ("train").
std::vector<Fact> PictureFacts(const PictureSet& set);

}  // namespace orchard::training
