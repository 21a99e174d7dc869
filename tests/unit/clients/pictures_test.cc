#include "clients/cpp/pictures.h"

#include <filesystem>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

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
using namespace std::chrono_literals;

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

TEST_F(PicturesTest, InAFolderWhatUsersDoNotSeeIsPassedOver) {
  const std::string photo = Put("a.jpg");
  Put("._a.jpg");           // a sidecar of macOS
  Put("__MACOSX/._a.jpg");  // the same in an archive
  Put("__MACOSX/b.jpg");
  Put("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg");
  Put(".thumbnails/a.png");
  Put("Thumbs.db");
  ASSERT_EQ(::mkfifo((dir_.path() / "pipe.jpg").c_str(), 0600), 0);
  EXPECT_THAT(ExpandPictures({dir_.path().string()}), ElementsAre(IsOkAndHolds(photo)));
}

TEST_F(PicturesTest, WhatIsNamedIsTakenAlsoWhenItIsHidden) {
  const std::string sidecar = Put("._a.jpg");
  const std::string hidden = Put(".thumbnails/a.png");
  EXPECT_THAT(ExpandPictures({sidecar, (dir_.path() / ".thumbnails").string()}),
              ElementsAre(IsOkAndHolds(sidecar), IsOkAndHolds(hidden)));
}

TEST_F(PicturesTest, AFolderNamedLikeAPictureIsAFolder) {
  const std::string inside = Put("a.jpg/b.jpg");
  EXPECT_THAT(ExpandPictures({dir_.path().string()}), ElementsAre(IsOkAndHolds(inside)));
}

TEST_F(PicturesTest, ALinkThatLeadsNowhereIsALine) {
  const std::string lost = (dir_.path() / "lost.jpg").string();
  std::filesystem::create_symlink("gone.jpg", lost);
  const auto pictures = ExpandPictures({dir_.path().string()});
  ASSERT_THAT(pictures, ElementsAre(IsOkAndHolds(lost)));
  std::istringstream nothing;
  SizeLimit limit([] { return std::nullopt; });
  EXPECT_THAT(PictureReader(pictures, nothing, limit, 10s).Read(lost),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such file")));
}

TEST_F(PicturesTest, AFolderThatMayNotBeReadTakesNoOtherPictureAway) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const std::string a = Put("a.jpg");
  Put("closed/b.jpg");
  const std::string z = Put("z.jpg");
  const std::string closed = (dir_.path() / "closed").string();
  ::chmod(closed.c_str(), 0);
  EXPECT_THAT(ExpandPictures({dir_.path().string()}),
              ElementsAre(IsOkAndHolds(a), IsOkAndHolds(z),
                          StatusIs(absl::StatusCode::kUnavailable, HasSubstr(closed))));
  ::chmod(closed.c_str(), 0700);
}

TEST_F(PicturesTest, ADashIsStandardInputHoweverOftenItIsNamed) {
  const std::string bytes("\xff\xd8\0bytes", 8);
  std::istringstream in(bytes);
  SizeLimit limit([] { return std::nullopt; });
  const PictureReader reader(ExpandPictures({"-", "a.jpg", "-"}), in, limit, 10s);
  EXPECT_THAT(reader.Read("-"), IsOkAndHolds(bytes));
  EXPECT_THAT(reader.Read("-"), IsOkAndHolds(bytes));
}

TEST_F(PicturesTest, WithoutADashStandardInputIsLeftAlone) {
  std::istringstream in("for somebody else");
  SizeLimit limit([] { return std::nullopt; });
  const PictureReader reader(ExpandPictures({"a.jpg"}), in, limit, 10s);
  EXPECT_EQ(in.tellg(), 0);
}

}  // namespace
}  // namespace orchard::client
