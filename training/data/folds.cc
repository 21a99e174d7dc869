#include "training/data/folds.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "core/digest.h"
#include "training/data/split.h"

namespace orchard::training {
namespace {

/// Makes each picture a group of its own, whose place among the others tells nothing of its pixels:
/// by content alone equal files would always be neighbours.
void TakeApart(Dataset& dataset) {
  for (Picture& picture : dataset.pictures) {
    picture.group = picture.path.generic_string();
    picture.content = core::Sha256Hex(absl::StrCat(picture.content, " ", picture.group));
  }
}

}  // namespace

std::vector<size_t> DealFolds(const Dataset& dataset, size_t folds) {
  std::vector<size_t> fold_of(dataset.pictures.size());
  std::vector<size_t> all(folds);  // Pictures that each fold has.
  for (auto& [index, groups] : GroupsByClass(dataset)) {
    std::vector<size_t> own(folds);  // Of this class.
    std::ranges::stable_sort(groups, std::greater<>(),
                             [](const SplitGroup& group) { return group.pictures.size(); });
    for (const SplitGroup& group : groups) {
      size_t least = 0;
      for (size_t f = 1; f < folds; ++f) {
        if (std::pair(own[f], all[f]) < std::pair(own[least], all[least])) least = f;
      }
      own[least] += group.pictures.size();
      all[least] += group.pictures.size();
      for (const size_t i : group.pictures) fold_of[i] = least;
    }
  }
  return fold_of;
}

absl::Status HoldOutFold(const FoldOptions& options, const v1::Data& data, PictureSet& set) {
  Dataset dataset = Listing(set);
  if (options.raw) TakeApart(dataset);
  const std::vector<size_t> fold_of = DealFolds(dataset, options.folds);
  Dataset rest{.domains = dataset.domains, .pictures = {}, .dropped = {}};
  std::vector<size_t> members;  // Of `rest`, in the set.
  for (size_t i = 0; i < fold_of.size(); ++i) {
    set.sides[i] = Side::kTest;
    if (fold_of[i] == options.held_out) continue;
    rest.pictures.push_back(std::move(dataset.pictures[i]));
    members.push_back(i);
  }
  const std::vector<Side> sides = Split(rest, data);
  for (size_t i = 0; i < members.size(); ++i) set.sides[members[i]] = sides[i];
  return CheckClassesAreTrained(set.domains, set.labels, set.sides);
}

}  // namespace orchard::training
