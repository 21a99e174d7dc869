#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "training/data/picture_set.h"

/// \file
/// What can be said of a set of pictures before anything is trained.

namespace orchard::training {

/// Of all pixels alike, channels as shares of 255: what a network's input is standardised with.
struct PixelStatistics {
  size_t pictures = 0;
  std::array<double, 3> mean = {};       ///< red, green, blue
  std::array<double, 3> deviation = {};  ///< standard deviation over all pixels
};

/// Of these pictures, as the store holds them.
PixelStatistics StatisticsOf(const PictureStore& store, std::span<const size_t> pictures,
                             size_t threads);

/// Two pictures that show the same.
struct Twins {
  size_t first = 0;
  size_t second = 0;
  bool exact = false;        ///< every pixel is equal
  double correlation = 1.0;  ///< of both in grey at 32 × 32
};

/// Every pair whose perceptual hashes differ in at most kTwinBits and whose correlation is at least
/// `correlation`: a hash alone takes plain pictures for one another. In the order of the pairs.
/// Compares each picture with each: a second or two for 60,000.
inline constexpr int kTwinBits = 10;
std::vector<Twins> FindTwins(const PictureStore& store, double correlation, size_t threads);

/// Tables for people: counts, mean and deviation a side; the twins of which the two are on
/// different sides (a leak), or of different classes (a label that can't be right twice).
std::string StatisticsText(const PictureSet& set, size_t threads);
std::string ScanText(const PictureSet& set, double correlation, size_t threads);

}  // namespace orchard::training
