// The odd inputs that lie beside the sources on some machines, each with the picture it shows.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "vision/preprocess.h"

namespace orchard::vision {
namespace {

namespace fs = std::filesystem;
using orchard::testing::IsOk;

constexpr Profile kProfile{.shorter_side = 224, .crop = 224, .framing = Framing::kWholePicture};

std::vector<std::uint8_t> Seen(const fs::path& file) {
  std::vector<std::uint8_t> out(kProfile.crop * kProfile.crop * 3);
  const auto bytes = core::ReadFile(file);
  EXPECT_THAT(bytes, IsOk());
  EXPECT_THAT(DecodeForEncoder(bytes.value_or(""), {}, kProfile, out), IsOk()) << file;
  return out;
}

TEST(CasesTest, ShowThePictureBesideThem) {
  const char* sources = std::getenv("ORCHARD_SOURCE_DIR");
  const fs::path folder = fs::path(sources == nullptr ? "." : sources) / ".." / "shared" / "cases";
  if (!fs::is_directory(folder)) GTEST_SKIP() << "there is no " << folder;
  constexpr std::string_view kExpected = ".expect.png";
  size_t cases = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const std::string extension = entry.path().extension().string();
    const bool picture = extension == ".jpg" || extension == ".png" || extension == ".webp";
    if (!picture || name.ends_with(kExpected)) continue;
    SCOPED_TRACE(name);
    const auto want = Seen(folder / (entry.path().stem().string() + std::string(kExpected)));
    const auto got = Seen(entry.path());
    double sum = 0;
    for (size_t i = 0; i < got.size(); ++i) sum += std::abs(got[i] - want[i]);
    // The expected ones are decoded at full size, JPEGs at the scale that is needed.
    EXPECT_LT(sum / static_cast<double>(got.size()), 1.5);
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace orchard::vision
