#include "training/data/groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/digest.h"

namespace orchard::training {
namespace {

constexpr size_t kSide = 32;
constexpr size_t kLow = 8;

using Grey = std::array<std::array<double, kSide>, kSide>;

/// The whole picture squeezed into a square, so that a crop is not taken for the original.
Grey Shrink(const vision::Image& image) {
  Grey grey{};
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t x = 0; x < kSide; ++x) {
      const size_t top = y * image.height / kSide;
      const size_t left = x * image.width / kSide;
      const size_t bottom = std::max(top + 1, (y + 1) * image.height / kSide);
      const size_t right = std::max(left + 1, (x + 1) * image.width / kSide);
      double sum = 0.0;
      for (size_t row = top; row < bottom; ++row) {
        for (size_t column = left; column < right; ++column) {
          const std::uint8_t* rgb = &image.rgb[(row * image.width + column) * 3];
          sum += 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        }
      }
      grey[y][x] = sum / static_cast<double>((bottom - top) * (right - left));
    }
  }
  return grey;
}

/// One coefficient of the two-dimensional DCT-II, without its scale, which the median ignores
/// alike in all but the first row and column.
double Coefficient(const Grey& grey, size_t u, size_t v) {
  const auto wave = [](size_t position, size_t frequency) {
    return std::cos(std::numbers::pi * (static_cast<double>(position) + 0.5) *
                    static_cast<double>(frequency) / static_cast<double>(kSide));
  };
  double sum = 0.0;
  for (size_t y = 0; y < kSide; ++y) {
    double row = 0.0;
    for (size_t x = 0; x < kSide; ++x) row += grey[y][x] * wave(x, v);
    sum += row * wave(y, u);
  }
  return sum;
}

}  // namespace

std::uint64_t PerceptualHash(const vision::Image& image) {
  const Grey grey = Shrink(image);
  std::array<double, kLow * kLow> low{};
  for (size_t u = 0; u < kLow; ++u) {
    for (size_t v = 0; v < kLow; ++v) {
      if (u + v > 0) low[u * kLow + v] = Coefficient(grey, u, v);
    }
  }
  std::array<double, kLow * kLow> sorted = low;
  std::ranges::nth_element(sorted, sorted.begin() + sorted.size() / 2);
  const double median = sorted[sorted.size() / 2];
  std::uint64_t hash = 0;
  for (size_t i = 0; i < low.size(); ++i) {
    if (low[i] > median) hash |= std::uint64_t{1} << i;
  }
  return hash;
}

std::vector<float> GreyThumbnail(const vision::Image& image) {
  std::vector<float> thumbnail;
  thumbnail.reserve(kSide * kSide);
  for (const auto& row : Shrink(image)) {
    for (const double value : row) thumbnail.push_back(static_cast<float>(value));
  }
  return thumbnail;
}

DisjointSets::DisjointSets(size_t count) : parent_(count), size_(count, 1) {
  for (size_t i = 0; i < count; ++i) parent_[i] = i;
}

size_t DisjointSets::Find(size_t item) {
  while (parent_[item] != item) {
    parent_[item] = parent_[parent_[item]];
    item = parent_[item];
  }
  return item;
}

void DisjointSets::Join(size_t a, size_t b) {
  a = Find(a);
  b = Find(b);
  if (a == b) return;
  if (size_[a] < size_[b]) std::swap(a, b);
  parent_[b] = a;
  size_[a] += size_[b];
}

Look LookOf(const vision::Image& image) {
  const std::string_view rgb(reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size());
  return {.hash = PerceptualHash(image),
          .pixels = absl::StrCat(image.width, "x", image.height, ":", core::Sha256Hex(rgb))};
}

void GroupByLook(const std::string& domain, std::span<const Look> looks,
                 std::span<Picture> pictures) {
  DisjointSets sets(pictures.size());
  for (size_t a = 0; a < pictures.size(); ++a) {
    for (size_t b = a + 1; b < pictures.size(); ++b) {
      if (std::popcount(looks[a].hash ^ looks[b].hash) <= kSameHash ||
          looks[a].pixels == looks[b].pixels) {
        sets.Join(a, b);
      }
    }
  }
  std::map<size_t, std::string> first;  // The least content of a set names it, whatever the order.
  for (size_t i = 0; i < pictures.size(); ++i) {
    std::string& name = first[sets.Find(i)];
    if (name.empty() || pictures[i].content < name) name = pictures[i].content;
  }
  for (size_t i = 0; i < pictures.size(); ++i) {
    pictures[i].group = absl::StrCat(domain, ":", first[sets.Find(i)]);
  }
}

std::vector<std::string> DropContradictions(const std::vector<DomainClasses>& domains,
                                            std::vector<Picture>& pictures) {
  std::map<std::string, size_t> first_of_group, first_of_content;
  DisjointSets sets(pictures.size());
  for (size_t i = 0; i < pictures.size(); ++i) {
    sets.Join(i, first_of_group.emplace(pictures[i].group, i).first->second);
    sets.Join(i, first_of_content.emplace(pictures[i].content, i).first->second);
  }
  std::map<size_t, std::set<std::string>> labels;
  std::map<size_t, std::string> name;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const DomainClasses& domain = domains[pictures[i].label.domain];
    const size_t set = sets.Find(i);
    labels[set].insert(absl::StrCat(domain.name, "/", domain.classes[pictures[i].label.label]));
    std::string& group = name[set];
    if (group.empty() || pictures[i].group < group) group = pictures[i].group;
  }
  std::vector<Picture> kept;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (labels[sets.Find(i)].size() > 1) continue;
    pictures[i].group = name[sets.Find(i)];
    kept.push_back(pictures[i]);
  }
  std::vector<std::string> dropped;
  for (const auto& [set, names] : labels) {
    if (names.size() > 1) {
      dropped.push_back(absl::StrCat("group ", name[set], ": ", absl::StrJoin(names, ", ")));
    }
  }
  pictures = std::move(kept);
  return dropped;
}

}  // namespace orchard::training
