#include "training/studies/gates/pictures.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

#include "core/random.h"

namespace orchard::training {
namespace {

/// In a random order, but one of each class before all others: the unknown-domain score needs a
/// picture of every class.
std::vector<size_t> Shuffled(const PictureSet& set, std::vector<size_t> pictures, size_t classes,
                             std::uint64_t seed) {
  std::mt19937_64 random(seed);
  core::Shuffle(pictures, random);
  std::vector<bool> seen(classes);
  std::vector<size_t> first, others;
  for (const size_t i : pictures) {
    const size_t label = set.labels[i].label;
    (seen[label] ? others : first).push_back(i);
    seen[label] = true;
  }
  first.insert(first.end(), others.begin(), others.end());
  return first;
}

}  // namespace

absl::StatusOr<std::vector<size_t>> DrawPictures(const PictureSet& set, Side side, size_t most,
                                                 std::uint64_t seed) {
  std::vector<std::vector<size_t>> members(set.domains.size());
  for (size_t i = 0; i < set.size(); ++i) {
    if (set.sides[i] == side) members[set.labels[i].domain].push_back(i);
  }
  std::vector<size_t> drawn;
  for (size_t g = 0; g < members.size(); ++g) {
    const DomainClasses& domain = set.domains[g];
    if (most > 0 && most < domain.classes.size()) {
      return absl::InvalidArgumentError(absl::StrCat("gates.pictures is ", most, ", domain \"",
                                                     domain.name, "\" has ", domain.classes.size(),
                                                     " classes, of which each needs a picture"));
    }
    if (members[g].empty()) {
      return absl::FailedPreconditionError(absl::StrCat("domain \"", domain.name,
                                                        "\" has no picture on the ", NameOf(side),
                                                        " side; set data.validation_share"));
    }
    std::vector<size_t> own = std::move(members[g]);
    if (most > 0 && own.size() > most) {
      own = Shuffled(set, std::move(own), domain.classes.size(),
                     Mix(seed, g, static_cast<std::uint64_t>(side)));
      own.resize(most);
    }
    drawn.insert(drawn.end(), own.begin(), own.end());
  }
  std::ranges::sort(drawn);
  return drawn;
}

std::vector<Label> LabelsOf(const PictureSet& set, const std::vector<size_t>& pictures) {
  std::vector<Label> labels;
  for (const size_t i : pictures) labels.push_back(set.labels[i]);
  return labels;
}

}  // namespace orchard::training
