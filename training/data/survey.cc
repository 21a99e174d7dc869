#include "training/data/survey.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/printable.h"
#include "training/data/groups.h"
#include "training/data/parallel.h"

namespace orchard::training {
namespace {

/// Sums of one picture's bytes; whole numbers, so that their order doesn't matter.
struct Sums {
  std::uint64_t pixels = 0;
  std::array<std::uint64_t, 3> values = {};
  std::array<std::uint64_t, 3> squares = {};
};

Sums SumsOf(const vision::Image& image) {
  Sums sums{.pixels = image.width * image.height};
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    const std::uint64_t value = image.rgb[i];
    sums.values[i % 3] += value;
    sums.squares[i % 3] += value * value;
  }
  return sums;
}

/// Grey at 32 × 32 without its mean, of length 1; all zeros for a plain picture.
std::vector<float> Direction(const vision::Image& image) {
  std::vector<float> grey = GreyThumbnail(image);
  double mean = 0.0;
  for (const float value : grey) mean += value;
  mean /= static_cast<double>(grey.size());
  double length = 0.0;
  for (float& value : grey) {
    value -= static_cast<float>(mean);
    length += static_cast<double>(value) * value;
  }
  if (length > 0.0) {
    for (float& value : grey) value = static_cast<float>(value / std::sqrt(length));
  }
  return grey;
}

double Product(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0.0F;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// "object/cat, train, data_batch_1.bin#17".
std::string Describe(const PictureSet& set, size_t i) {
  const DomainClasses& domain = set.domains[set.labels[i].domain];
  return core::Printable(absl::StrCat(domain.name, "/", domain.classes[set.labels[i].label], ", ",
                                      NameOf(set.sides[i]), ", ", set.names[i]));
}

}  // namespace

PixelStatistics StatisticsOf(const PictureStore& store, std::span<const size_t> pictures,
                             size_t threads) {
  std::vector<Sums> sums(pictures.size());
  // Nothing in it fails.
  ForEach(pictures.size(), threads, [&](size_t i) {
    sums[i] = SumsOf(store[pictures[i]]);
    return absl::OkStatus();
  }).IgnoreError();
  Sums all;
  for (const Sums& of : sums) {
    all.pixels += of.pixels;
    for (size_t c = 0; c < 3; ++c) {
      all.values[c] += of.values[c];
      all.squares[c] += of.squares[c];
    }
  }
  PixelStatistics statistics{.pictures = pictures.size()};
  if (all.pixels == 0) return statistics;
  const auto pixels = static_cast<double>(all.pixels);
  for (size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(all.values[c]) / pixels;
    const double variance = static_cast<double>(all.squares[c]) / pixels - mean * mean;
    statistics.mean[c] = mean / 255.0;
    statistics.deviation[c] = std::sqrt(std::max(variance, 0.0)) / 255.0;
  }
  return statistics;
}

std::vector<Twins> FindTwins(const PictureStore& store, double correlation, size_t threads) {
  const size_t count = store.size();
  std::vector<Look> looks(count);
  std::vector<std::vector<float>> directions(count);
  ForEach(count, threads, [&](size_t i) {
    looks[i] = LookOf(store[i]);
    directions[i] = Direction(store[i]);
    return absl::OkStatus();
  }).IgnoreError();
  std::vector<std::vector<Twins>> of(count);
  ForEach(count, threads, [&](size_t a) {
    for (size_t b = a + 1; b < count; ++b) {
      if (std::popcount(looks[a].hash ^ looks[b].hash) > kTwinBits) continue;
      const bool exact = looks[a].pixels == looks[b].pixels;
      const double close = exact ? 1.0 : Product(directions[a], directions[b]);
      if (close < correlation) continue;
      of[a].push_back({.first = a, .second = b, .exact = exact, .correlation = close});
    }
    return absl::OkStatus();
  }).IgnoreError();
  std::vector<Twins> twins;
  for (const std::vector<Twins>& some : of) twins.insert(twins.end(), some.begin(), some.end());
  return twins;
}

std::string StatisticsText(const PictureSet& set, size_t threads) {
  std::string text = absl::StrFormat("%-12s %8s   %-22s %-22s\n", "side", "pictures",
                                     "mean (R, G, B)", "deviation");
  for (const Side side : {Side::kTrain, Side::kValidation, Side::kTest}) {
    const PixelStatistics of = StatisticsOf(set.pictures, On(set.sides, side), threads);
    absl::StrAppendFormat(&text, "%-12s %8u   %.4f %.4f %.4f   %.4f %.4f %.4f\n", NameOf(side),
                          of.pictures, of.mean[0], of.mean[1], of.mean[2], of.deviation[0],
                          of.deviation[1], of.deviation[2]);
  }
  absl::StrAppendFormat(&text, "\n%-40s %8s %10s %8s\n", "class", "train", "validation", "test");
  std::vector<std::array<size_t, 3>> counts(TotalClasses(set.domains));
  for (size_t i = 0; i < set.size(); ++i) {
    ++counts[FlatIndex(set.domains, set.labels[i])][static_cast<size_t>(set.sides[i])];
  }
  size_t flat = 0;
  for (const DomainClasses& domain : set.domains) {
    for (const std::string& label : domain.classes) {
      const auto& [train, validation, test] = counts[flat++];
      absl::StrAppendFormat(&text, "%-40s %8u %10u %8u\n",
                            core::Printable(absl::StrCat(domain.name, "/", label)), train,
                            validation, test);
    }
  }
  for (const std::string& line : set.skipped) {
    absl::StrAppend(&text, "left out: ", core::Printable(line), "\n");
  }
  return text;
}

std::string ScanText(const PictureSet& set, double correlation, size_t threads) {
  std::string text;
  std::array<size_t, 2> pairs = {};   // near, exact
  std::array<size_t, 2> leaks = {};   // of them on different sides
  std::array<size_t, 2> labels = {};  // of different classes
  for (const Twins& twins : FindTwins(set.pictures, correlation, threads)) {
    const size_t exact = twins.exact ? 1 : 0;
    const bool leak = set.sides[twins.first] != set.sides[twins.second];
    const bool two_labels = set.labels[twins.first] != set.labels[twins.second];
    ++pairs[exact];
    leaks[exact] += leak ? 1 : 0;
    labels[exact] += two_labels ? 1 : 0;
    if (!leak && !two_labels) continue;
    absl::StrAppend(&text, twins.exact ? "equal" : absl::StrFormat("%.3f", twins.correlation), "\t",
                    Describe(set, twins.first), "\t", Describe(set, twins.second), "\n");
  }
  for (const size_t exact : {size_t{1}, size_t{0}}) {
    absl::StrAppendFormat(&text, "%s: %u pairs, %u of them on different sides, %u of two classes\n",
                          exact == 1 ? "equal" : "nearly equal", pairs[exact], leaks[exact],
                          labels[exact]);
  }
  return text;
}

}  // namespace orchard::training
