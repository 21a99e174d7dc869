// Draws pictures into a folder, for a demonstration without photographs. Usage:
// draw_pictures DIR [SIDE]; SIDE in pixels, default 320.

#include <filesystem>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "core/text.h"
#include "tests/testing/pictures.h"

int main(int argc, char** argv) {
  using namespace orchard::testing;  // NOLINT(google-build-using-namespace): a main of one screen.
  size_t side = 320;                 // pixels
  if (argc < 2 || argc > 3 || (argc == 3 && !absl::SimpleAtoi(argv[2], &side))) {
    std::cerr << "usage: draw_pictures DIR [SIDE]\n";
    return 2;
  }
  constexpr std::uint64_t kEach = 6;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (std::uint64_t seed = 0; seed < kEach; ++seed) {
    const absl::Status leaf = orchard::core::WriteFile(
        folder / absl::StrCat("drawn_leaf_", seed, ".jpg"), EncodeJpeg(DrawLeaf(side, side, seed)));
    const absl::Status grains =
        orchard::core::WriteFile(folder / absl::StrCat("drawn_grains_", seed, ".png"),
                                 EncodePng(DrawGrains(side, side, seed)));
    if (!leaf.ok() || !grains.ok()) {
      std::cerr << leaf << '\n' << grains << '\n';
      return 1;
    }
  }
  return 0;
}
