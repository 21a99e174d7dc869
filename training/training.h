#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// \file
/// From folders of pictures to a served model, and how good it is. Read in this order:
///   recipe.h (what is asked for); dataset.h, groups.h, split.h, undersample.h (which pictures);
///   picture_store.h, sampler.h, loader.h, features.h (from pictures to batches); masked_moe.h,
///   folded.h, sharded_encoder.h (the network and its loss); optimiser.h, schedule.h, average.h,
///   checkpoint.h, loop.h, tasks.h, run.h, fit.h (the training); calibrate.h, encoder_only.h,
///   export.h, provenance.h (from weights to a version folder); statistics.h, metrics.h, served.h,
///   evaluate.h, report.h, record.h (the measurement); progress.h, main.cc.
/// Conventions: everything is seeded; a label is an index; domains are in the recipe's order,
/// classes of a domain in the order of their names; logarithms are natural.

namespace orchard::training {

/// One domain and its classes, in the order of indices.
struct DomainClasses {
  std::string name;
  std::string branch;
  std::vector<std::string> classes;
};

/// What a picture shows.
struct Label {
  size_t domain = 0;
  size_t label = 0;  ///< index among the domain's classes

  friend bool operator==(const Label&, const Label&) = default;
};

/// Turns a seed and up to two positions into an independent seed (splitmix64's finaliser), so that
/// what is random depends on where it is used and never on what was drawn before.
inline std::uint64_t Mix(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0) {
  std::uint64_t z = seed + 0x9E3779B97F4A7C15ULL * (a + 1) + 0xD1B54A32D192ED03ULL * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace orchard::training
