// Draws pictures into a folder, for a demonstration without photographs. Usage: draw_pictures DIR

#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"

#include "core/text.h"
#include "tests/testing/pictures.h"

int main(int argc, char** argv) {
  using namespace orchard::testing;  // NOLINT(google-build-using-namespace): a main of one screen.
  if (argc != 2) {
    std::cerr << "usage: draw_pictures DIR\n";
    return 2;
  }
  constexpr size_t kSide = 320;  // pixels
  constexpr std::uint64_t kEach = 6;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (std::uint64_t seed = 0; seed < kEach; ++seed) {
    const absl::Status leaf =
        orchard::core::WriteFile(folder / absl::StrCat("drawn_leaf_", seed, ".jpg"),
                                 EncodeJpeg(DrawLeaf(kSide, kSide, seed)));
    const absl::Status grains =
        orchard::core::WriteFile(folder / absl::StrCat("drawn_grains_", seed, ".png"),
                                 EncodePng(DrawGrains(kSide, kSide, seed)));
    if (!leaf.ok() || !grains.ok()) {
      std::cerr << leaf << '\n' << grains << '\n';
      return 1;
    }
  }
  return 0;
}
