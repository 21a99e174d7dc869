#include "nets/backbones/names.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace orchard::nets {
namespace {

using Parts = std::vector<std::string>;
using Table = std::map<std::string, std::string>;

/// The parts of `parts` from `first` on, each behind a dot.
std::string Rest(const Parts& parts, size_t first) {
  std::string rest;
  for (size_t i = first; i < parts.size(); ++i) absl::StrAppend(&rest, ".", parts[i]);
  return rest;
}

/// blocks.<stage>.<index>.<layer>…: the two numbers.
std::optional<std::pair<int, int>> PlaceOf(const Parts& parts) {
  int stage = 0;
  int index = 0;
  if (parts.size() < 5 || parts[0] != "blocks" || !absl::SimpleAtoi(parts[1], &stage) ||
      !absl::SimpleAtoi(parts[2], &index) || stage < 0 || index < 0) {
    return std::nullopt;
  }
  return std::pair(stage, index);
}

/// Layers outside the blocks, by `table`; nothing if there is no such one.
std::optional<std::string> Outside(const Parts& parts, const Table& table) {
  const auto found = table.find(parts[0]);
  if (found == table.end()) return std::nullopt;
  return absl::StrCat(found->second, Rest(parts, 1));
}

/// timm's layers of a block of which the first stage has no expansion, by which names shift.
struct BlockTables {
  Table first, others;
};

std::optional<std::string> InBlock(const Parts& parts, int stage, const BlockTables& tables) {
  const Table& table = stage == 0 ? tables.first : tables.others;
  // "se.conv_reduce" is two parts, all others one.
  const std::string layer = parts[3] == "se" ? absl::StrCat("se.", parts[4]) : parts[3];
  const auto found = table.find(layer);
  if (found == table.end()) return std::nullopt;
  return absl::StrCat(found->second, Rest(parts, parts[3] == "se" ? 5 : 4));
}

/// Blocks of the stages before `stage`.
int BlocksBefore(int stage, const std::vector<int>& counts) {
  int before = 0;
  for (int s = 0; s < stage; ++s) before += counts[static_cast<size_t>(s)];
  return before;
}

std::optional<std::string> B0(const Parts& parts) {
  static const Table& outside = *new Table{{"conv_stem", "features.0.0"},
                                           {"bn1", "features.0.1"},
                                           {"conv_head", "features.8.0"},
                                           {"bn2", "features.8.1"},
                                           {"classifier", "classifier.1"}};
  static const BlockTables& blocks = *new BlockTables{{{"conv_dw", "block.0.0"},
                                                       {"bn1", "block.0.1"},
                                                       {"se.conv_reduce", "block.1.fc1"},
                                                       {"se.conv_expand", "block.1.fc2"},
                                                       {"conv_pw", "block.2.0"},
                                                       {"bn2", "block.2.1"}},
                                                      {{"conv_pw", "block.0.0"},
                                                       {"bn1", "block.0.1"},
                                                       {"conv_dw", "block.1.0"},
                                                       {"bn2", "block.1.1"},
                                                       {"se.conv_reduce", "block.2.fc1"},
                                                       {"se.conv_expand", "block.2.fc2"},
                                                       {"conv_pwl", "block.3.0"},
                                                       {"bn3", "block.3.1"}}};
  const auto place = PlaceOf(parts);
  if (!place) return Outside(parts, outside);
  const auto layer = InBlock(parts, place->first, blocks);
  if (!layer) return std::nullopt;
  return absl::StrCat("features.", place->first + 1, ".", place->second, ".", *layer);
}

std::optional<std::string> Lite(const Parts& parts, const std::vector<int>& counts) {
  static const Table& outside = *new Table{{"conv_stem", "_conv_stem"},
                                           {"bn1", "_bn0"},
                                           {"conv_head", "_conv_head"},
                                           {"bn2", "_bn1"},
                                           {"classifier", "_fc"}};
  static const BlockTables& blocks = *new BlockTables{{{"conv_dw", "_depthwise_conv"},
                                                       {"bn1", "_bn1"},
                                                       {"conv_pw", "_project_conv"},
                                                       {"bn2", "_bn2"}},
                                                      {{"conv_pw", "_expand_conv"},
                                                       {"bn1", "_bn0"},
                                                       {"conv_dw", "_depthwise_conv"},
                                                       {"bn2", "_bn1"},
                                                       {"conv_pwl", "_project_conv"},
                                                       {"bn3", "_bn2"}}};
  const auto place = PlaceOf(parts);
  if (!place) return Outside(parts, outside);
  if (static_cast<size_t>(place->first) >= counts.size()) return std::nullopt;
  const auto layer = InBlock(parts, place->first, blocks);
  if (!layer) return std::nullopt;
  return absl::StrCat("_blocks.", BlocksBefore(place->first, counts) + place->second, ".", *layer);
}

}  // namespace

std::optional<std::string> NameFromTimm(BackboneKind kind, std::string_view name) {
  const Parts parts = absl::StrSplit(absl::string_view(name.data(), name.size()), '.');
  switch (kind) {
    case BackboneKind::kEfficientNetB0:
      return B0(parts);
    case BackboneKind::kEfficientNetLite0:
      return Lite(parts, {1, 2, 2, 3, 3, 4, 1});
    case BackboneKind::kEfficientNetLite2:
      return Lite(parts, {1, 3, 3, 4, 4, 5, 1});
    default:
      return std::string(name);
  }
}

std::optional<std::string> MobileNetV2NameFromTimm(std::string_view name) {
  static const Table& outside = *new Table{{"conv_stem", "features.0.0"},
                                           {"bn1", "features.0.1"},
                                           {"conv_head", "features.18.0"},
                                           {"bn2", "features.18.1"},
                                           {"classifier", "classifier.1"}};
  static const BlockTables& blocks = *new BlockTables{
      {{"conv_dw", "conv.0.0"}, {"bn1", "conv.0.1"}, {"conv_pw", "conv.1"}, {"bn2", "conv.2"}},
      {{"conv_pw", "conv.0.0"},
       {"bn1", "conv.0.1"},
       {"conv_dw", "conv.1.0"},
       {"bn2", "conv.1.1"},
       {"conv_pwl", "conv.2"},
       {"bn3", "conv.3"}}};
  static const std::vector<int>& counts = *new std::vector<int>{1, 2, 3, 4, 3, 3, 1};
  const Parts parts = absl::StrSplit(absl::string_view(name.data(), name.size()), '.');
  const auto place = PlaceOf(parts);
  if (!place) return Outside(parts, outside);
  if (static_cast<size_t>(place->first) >= counts.size()) return std::nullopt;
  const auto layer = InBlock(parts, place->first, blocks);
  if (!layer) return std::nullopt;
  return absl::StrCat("features.", 1 + BlocksBefore(place->first, counts) + place->second, ".",
                      *layer);
}

}  // namespace orchard::nets
