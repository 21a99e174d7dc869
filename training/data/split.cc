#include "training/data/split.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "training/data/table.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

std::string HashOf(const Dataset& dataset, const std::vector<size_t>& pictures) {
  std::vector<std::string> contents;
  for (const size_t i : pictures) contents.push_back(dataset.pictures[i].content);
  std::ranges::sort(contents);
  core::Sha256 hash;
  for (const std::string& content : contents) hash.Add(content);
  return hash.Hex();
}

/// A group of a class with its place in [0, 1).
struct HashedGroup {
  double place = 0.0;
  const std::vector<size_t>* pictures = nullptr;
  Side side = Side::kTrain;
};

/// The groups in the order of their places.
std::vector<HashedGroup> Hashed(const Dataset& dataset, const std::vector<SplitGroup>& groups) {
  std::vector<HashedGroup> hashed;
  for (const SplitGroup& group : groups) {
    std::string least;
    for (const size_t i : group.pictures) {
      const std::string& content = dataset.pictures[i].content;
      if (least.empty() || content < least) least = content;
    }
    constexpr size_t kDigits = 13;  // of hexadecimal: what a double holds exactly
    const auto number = std::strtoull(least.substr(0, kDigits).c_str(), nullptr, 16);
    hashed.push_back({.place = static_cast<double>(number) * 0x1p-52, .pictures = &group.pictures});
  }
  std::ranges::sort(hashed, {}, &HashedGroup::place);
  return hashed;
}

/// One class, in the order of its places.
void DealByHash(double validation_share, double test_share, std::vector<HashedGroup>& groups) {
  size_t total = 0;
  for (const HashedGroup& group : groups) total += group.pictures->size();
  const auto fits = [&](const HashedGroup& group, double share) {
    const auto room = std::lround(share * static_cast<double>(total));
    return group.pictures->size() <= static_cast<size_t>(std::max(room, 1L));
  };
  for (HashedGroup& group : groups) {
    if (group.place < test_share) {
      group.side = fits(group, test_share) ? Side::kTest : Side::kTrain;
    } else if (group.place < test_share + validation_share) {
      group.side = fits(group, validation_share) ? Side::kValidation : Side::kTrain;
    }
  }
  const auto on = [&](Side side) { return std::ranges::count(groups, side, &HashedGroup::side); };
  if (on(Side::kTrain) == 0) groups.back().side = Side::kTrain;
  for (const auto& [side, share] :
       {std::pair{Side::kTest, test_share}, std::pair{Side::kValidation, validation_share}}) {
    if (share <= 0.0 || on(side) > 0 || on(Side::kTrain) < 2) continue;
    const auto nearest = std::ranges::find_if(groups, [&](const HashedGroup& group) {
      return group.side == Side::kTrain && fits(group, share);
    });
    if (nearest != groups.end()) nearest->side = side;
  }
}

constexpr std::array<const char*, 3> kSides = {"train", "validation", "test"};

/// What WriteSplit says of a picture beside its side: where it is, and what it is.
std::string KeyOf(const Dataset& dataset, const Picture& picture) {
  const DomainClasses& domain = dataset.domains[picture.label.domain];
  return absl::StrCat(domain.name, "/", domain.classes[picture.label.label], "/",
                      picture.path.filename().string(), " ", picture.content);
}

/// Up to three of `names`, and how many there are.
std::string FirstFew(const std::vector<std::string>& names) {
  constexpr size_t kNamed = 3;
  const std::vector<std::string> few(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(kNamed, names.size())));
  return absl::StrCat(absl::StrJoin(few, ", "), names.size() > kNamed ? ", …" : "", " (",
                      names.size(), ")");
}

/// Whether the dataset's classes are those that the split names.
absl::Status CheckClasses(const fs::path& file, const Dataset& dataset,
                          const std::set<std::string>& listed) {
  std::vector<std::string> come;
  for (const DomainClasses& domain : dataset.domains) {
    for (const std::string& label : domain.classes) {
      const std::string name = absl::StrCat(domain.name, "/", label);
      if (!listed.contains(name)) come.push_back(name);
    }
  }
  if (come.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      file.string(), ": class folders that were not there when the run began: ", FirstFew(come),
      "; take them out, or begin a new run"));
}

}  // namespace

std::map<size_t, std::vector<SplitGroup>> GroupsByClass(const Dataset& dataset) {
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < dataset.pictures.size(); ++i) {
    groups[dataset.pictures[i].group].push_back(i);
  }
  std::map<size_t, std::vector<SplitGroup>> classes;
  for (auto& [name, pictures] : groups) {
    const Label& label = dataset.pictures[pictures.front()].label;  // One label a group.
    classes[FlatIndex(dataset.domains, label)].push_back(
        {.hash = HashOf(dataset, pictures), .pictures = std::move(pictures)});
  }
  for (auto& [index, members] : classes) std::ranges::sort(members, {}, &SplitGroup::hash);
  return classes;
}

const char* NameOf(Side side) { return kSides[static_cast<size_t>(side)]; }

std::optional<Side> SideNamed(std::string_view name) {
  const auto found = std::ranges::find(kSides, name);
  if (found == kSides.end()) return std::nullopt;
  return static_cast<Side>(found - kSides.begin());
}

absl::Status CheckClassesAreTrained(const std::vector<DomainClasses>& domains,
                                    std::span<const Label> labels, const std::vector<Side>& sides) {
  std::vector<size_t> count(TotalClasses(domains));
  for (const size_t i : On(sides, Side::kTrain)) ++count[FlatIndex(domains, labels[i])];
  std::vector<std::string> empty;
  size_t flat = 0;
  for (const DomainClasses& domain : domains) {
    for (const std::string& label : domain.classes) {
      if (count[flat++] == 0) empty.push_back(absl::StrCat(domain.name, "/", label));
    }
  }
  if (empty.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("classes without a picture to train on: ", absl::StrJoin(empty, ", "),
                   "; add pictures, or take the folders out"));
}

absl::Status WriteSplit(const fs::path& file, const Dataset& dataset,
                        const std::vector<Side>& sides) {
  std::string text = "side\tdomain\tclass\tfile\tgroup\tcontent\n";
  for (size_t i = 0; i < sides.size(); ++i) {
    const Picture& picture = dataset.pictures[i];
    const DomainClasses& domain = dataset.domains[picture.label.domain];
    absl::StrAppend(&text, NameOf(sides[i]));
    for (const std::string& cell :
         {domain.name, domain.classes[picture.label.label], picture.path.filename().string(),
          picture.group, picture.content}) {
      absl::StrAppend(&text, "\t", ToCell(cell));
    }
    absl::StrAppend(&text, "\n");
  }
  return core::WriteFile(file, text);
}

absl::StatusOr<std::vector<Side>> ReadSplit(const fs::path& file, Dataset& dataset,
                                            size_t& left_out) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  std::map<std::string, Side> side_of;
  std::set<std::string> classes;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (++number == 1) continue;
    std::vector<std::string> cells = absl::StrSplit(line, '\t');
    for (std::string& cell : cells) cell = FromCell(cell);
    const std::optional<Side> side = SideNamed(cells[0]);
    if (cells.size() != 6 || !side) {
      return absl::FailedPreconditionError(
          absl::StrCat(file.string(), ", line ", number,
                       ": must be side, domain, class, file, group and content of a picture"));
    }
    classes.insert(absl::StrCat(cells[1], "/", cells[2]));
    side_of[absl::StrCat(cells[1], "/", cells[2], "/", cells[3], " ", cells[5])] = *side;
  }
  ORCHARD_RETURN_IF_ERROR(CheckClasses(file, dataset, classes));
  std::vector<Side> sides;
  std::vector<Picture> kept;
  for (Picture& picture : dataset.pictures) {
    const auto found = side_of.find(KeyOf(dataset, picture));
    if (found == side_of.end()) continue;
    sides.push_back(found->second);
    kept.push_back(std::move(picture));
    side_of.erase(found);
  }
  std::vector<std::string> gone;
  for (const auto& [key, side] : side_of) gone.push_back(key.substr(0, key.rfind(' ')));
  if (!gone.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        file.string(), ": pictures that the run began with are gone or changed: ", FirstFew(gone),
        "; put them back, or begin a new run"));
  }
  left_out = dataset.pictures.size() - kept.size();
  dataset.pictures = std::move(kept);
  return sides;
}

absl::Status WriteSides(const fs::path& file, const Dataset& dataset,
                        const std::vector<Side>& sides) {
  std::map<std::string, Side> by_content;  // Sorted: nothing of the folder's order is told.
  for (size_t i = 0; i < sides.size(); ++i) by_content[dataset.pictures[i].content] = sides[i];
  std::string text = "side\tcontent\n";
  for (const auto& [content, side] : by_content) {
    absl::StrAppend(&text, NameOf(side), "\t", content, "\n");
  }
  return core::WriteFile(file, text);
}

absl::StatusOr<std::map<std::string, Side>> ReadSides(const fs::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  std::map<std::string, Side> by_content;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (++number == 1) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, '\t');
    const std::optional<Side> side = SideNamed(cells[0]);
    if (cells.size() != 2 || !side) {
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ", line ", number,
                                                     ": must be side and content of a picture"));
    }
    by_content[cells[1]] = *side;
  }
  return by_content;
}

std::vector<Side> Split(const Dataset& dataset, double validation_share, double test_share) {
  std::vector<Side> sides(dataset.pictures.size(), Side::kTrain);
  for (const auto& [index, groups] : GroupsByClass(dataset)) {
    size_t total = 0;
    for (const SplitGroup& group : groups) total += group.pictures.size();
    const auto room = [&](double share) {
      return static_cast<size_t>(std::lround(share * static_cast<double>(total)));
    };
    size_t test = room(test_share);
    size_t validation = room(validation_share);
    for (const SplitGroup& group : groups) {
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

std::vector<Side> SplitByHash(const Dataset& dataset, double validation_share, double test_share) {
  std::vector<Side> sides(dataset.pictures.size(), Side::kTrain);
  for (const auto& [index, groups] : GroupsByClass(dataset)) {
    std::vector<HashedGroup> hashed = Hashed(dataset, groups);
    DealByHash(validation_share, test_share, hashed);
    for (const HashedGroup& group : hashed) {
      for (const size_t i : *group.pictures) sides[i] = group.side;
    }
  }
  return sides;
}

std::vector<Side> Split(const Dataset& dataset, const v1::Data& data) {
  return data.dealing() == v1::HASHED
             ? SplitByHash(dataset, data.validation_share(), data.test_share())
             : Split(dataset, data.validation_share(), data.test_share());
}

std::vector<size_t> On(const std::vector<Side>& sides, Side side) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < sides.size(); ++i) {
    if (sides[i] == side) indices.push_back(i);
  }
  return indices;
}

}  // namespace orchard::training
