#include "training/log/picture_facts.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace orchard::training {

std::vector<Fact> PictureFacts(const PictureSet& set) {
  std::vector<Fact> facts;
  const auto add = [&](const char* topic, const std::string& name, size_t count) {
    facts.push_back({.topic = topic, .name = name, .value = static_cast<std::int64_t>(count)});
  };
  const auto on = [&](Side side) {
    return static_cast<size_t>(std::ranges::count(set.sides, side));
  };
  add("data", "domains", set.domains.size());
  add("data", "classes", TotalClasses(set.domains));
  add("data", "train", on(Side::kTrain));
  add("data", "validation", on(Side::kValidation));
  add("data", "test", on(Side::kTest));
  add("data", "skipped", set.skipped.size());
  std::vector<size_t> train(set.domains.size());
  for (size_t i = 0; i < set.size(); ++i) {
    if (set.sides[i] == Side::kTrain) ++train[set.labels[i].domain];
  }
  for (size_t g = 0; g < train.size(); ++g) add("train", set.domains[g].name, train[g]);
  return facts;
}

}  // namespace orchard::training
