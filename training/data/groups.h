#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "training/data/dataset.h"
#include "vision/vision.h"

/// \file
/// Which pictures belong together: near-duplicates that must never be on both sides of a split.
/// Source: models.md section 1.4.

namespace orchard::training {

inline constexpr int kHashBits = 64;
inline constexpr int kSameHash = 4;  ///< two pictures whose hashes differ in at most so many bits

/// 64-bit perceptual hash: the picture in grey at 32 × 32, its 8 × 8 lowest frequencies (DCT-II,
/// without the mean), a bit each for "above their median". Unharmed by resizing and recompression.
std::uint64_t PerceptualHash(const vision::Image& image);

/// The picture in grey at 32 × 32, squeezed, row by row: 1024 numbers in [0, 255].
std::vector<float> GreyThumbnail(const vision::Image& image);

/// Sets with union by size. Not thread-safe.
class DisjointSets {
 public:
  explicit DisjointSets(size_t count);
  size_t Find(size_t item);
  void Join(size_t a, size_t b);

 private:
  std::vector<size_t> parent_, size_;
};

/// What near-duplicates are known by.
struct Look {
  std::uint64_t hash = 0;   ///< PerceptualHash
  std::string pixels = {};  ///< size and SHA-256 of the pixels
};
Look LookOf(const vision::Image& image);

/// Names the groups of `pictures`, whose looks are `looks`, "<domain>:<first content>": equal
/// pixels, or hashes at most kSameHash bits apart, transitively.
void GroupByLook(const std::string& domain, std::span<const Look> looks,
                 std::span<Picture> pictures);

/// Removes the groups that hold two labels and returns a line for each; pictures with equal bytes
/// in two groups are treated as one group.
std::vector<std::string> DropContradictions(const std::vector<DomainClasses>& domains,
                                            std::vector<Picture>& pictures);

}  // namespace orchard::training
