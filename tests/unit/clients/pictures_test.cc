#include "clients/cpp/pictures.h"

#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace orchard::client {
namespace {

using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PicturesTest : public ::testing::Test {
 protected:
  std::string Put(const std::string& name) {
    const std::filesystem::path path = dir_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    EXPECT_TRUE(core::WriteFile(path, name).ok());
    return path.string();
  }

  orchard::testing::TempDir dir_;
};

TEST_F(PicturesTest, AFolderIsWalkedInNameOrderForPicturesInAnyCase) {
  const std::string b = Put("b.JPG");
  const std::string deep = Put("a/deep.webp");
  const std::string c = Put("c.jpeg");
  const std::string d = Put("d.Png");
  Put("notes.txt");
  EXPECT_THAT(ExpandPictures({dir_.path().string()}),
              ElementsAre(IsOkAndHolds(deep), IsOkAndHolds(b), IsOkAndHolds(c), IsOkAndHolds(d)));
}

TEST_F(PicturesTest, FilesAreTakenWhateverTheirNameAndRepeatsStay) {
  const std::string file = Put("photo.raw");
  EXPECT_THAT(ExpandPictures({file, "-", file, "missing.jpg"}),
              ElementsAre(IsOkAndHolds(file), IsOkAndHolds("-"), IsOkAndHolds(file),
                          IsOkAndHolds("missing.jpg")));
}

TEST_F(PicturesTest, AFolderWithoutPicturesIsAnErrorAmongTheOthers) {
  const std::string file = Put("photo.jpg");
  Put("empty/notes.txt");
  const std::string folder = (dir_.path() / "empty").string();
  EXPECT_THAT(
      ExpandPictures({folder, file}),
      ElementsAre(StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder)), IsOkAndHolds(file)));
}

TEST_F(PicturesTest, ADashIsStandardInputHoweverOftenItIsNamed) {
  const std::string bytes("\xff\xd8\0bytes", 8);
  std::istringstream in(bytes);
  const std::string standard_input = ReadStandardInput(ExpandPictures({"-", "a.jpg", "-"}), in);
  EXPECT_THAT(ReadPicture("-", standard_input), IsOkAndHolds(bytes));
  EXPECT_THAT(ReadPicture("-", standard_input), IsOkAndHolds(bytes));
}

TEST_F(PicturesTest, WithoutADashStandardInputIsLeftAlone) {
  std::istringstream in("for somebody else");
  EXPECT_EQ(ReadStandardInput(ExpandPictures({"a.jpg"}), in), "");
  EXPECT_EQ(in.tellg(), 0);
}

}  // namespace
}  // namespace orchard::client
