#include "training/split.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/digest.h"

namespace orchard::training {
namespace {

/// Pictures of one group, and the hash that orders it.
struct Group {
  std::string hash;
  std::vector<size_t> pictures;
};

std::string HashOf(const Dataset& dataset, const std::vector<size_t>& pictures) {
  std::vector<std::string> contents;
  for (const size_t i : pictures) contents.push_back(dataset.pictures[i].content);
  std::ranges::sort(contents);
  core::Sha256 hash;
  for (const std::string& content : contents) hash.Add(content);
  return hash.Hex();
}

/// The groups of each class (by flat index), ordered by hash.
std::map<size_t, std::vector<Group>> GroupsByClass(const Dataset& dataset) {
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < dataset.pictures.size(); ++i) {
    groups[dataset.pictures[i].group].push_back(i);
  }
  std::map<size_t, std::vector<Group>> classes;
  for (auto& [name, pictures] : groups) {
    const Label& label = dataset.pictures[pictures.front()].label;  // One label a group.
    classes[FlatIndex(dataset.domains, label)].push_back(
        {.hash = HashOf(dataset, pictures), .pictures = std::move(pictures)});
  }
  for (auto& [index, members] : classes) std::ranges::sort(members, {}, &Group::hash);
  return classes;
}

}  // namespace

std::vector<Side> Split(const Dataset& dataset, double validation_share, double test_share) {
  std::vector<Side> sides(dataset.pictures.size(), Side::kTrain);
  for (const auto& [index, groups] : GroupsByClass(dataset)) {
    size_t total = 0;
    for (const Group& group : groups) total += group.pictures.size();
    const auto room = [&](double share) {
      return static_cast<size_t>(std::lround(share * static_cast<double>(total)));
    };
    size_t test = room(test_share);
    size_t validation = room(validation_share);
    for (const Group& group : groups) {
      const size_t size = group.pictures.size();
      Side side = Side::kTrain;
      if (size <= test) {
        side = Side::kTest;
        test -= size;
      } else if (size <= validation) {
        side = Side::kValidation;
        validation -= size;
      }
      for (const size_t i : group.pictures) sides[i] = side;
    }
  }
  return sides;
}

std::vector<size_t> On(const std::vector<Side>& sides, Side side) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < sides.size(); ++i) {
    if (sides[i] == side) indices.push_back(i);
  }
  return indices;
}

}  // namespace orchard::training
