#include "core/text.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace orchard::core {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;
using ::orchard::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CutAtCharacterTest, CutsNoCharacterInTwo) {
  EXPECT_EQ(CutAtCharacter("apple", 5), "apple");
  EXPECT_EQ(CutAtCharacter("apple", 3), "app");
  EXPECT_EQ(CutAtCharacter("a\xC3\xA4", 3), "a\xC3\xA4");  // Two bytes a letter.
  EXPECT_EQ(CutAtCharacter("a\xC3\xA4", 2), "a");
  EXPECT_EQ(CutAtCharacter("\xE2\x82\xAC\xE2\x82\xAC", 5), "\xE2\x82\xAC");  // Three.
  EXPECT_EQ(CutAtCharacter("\xF0\x9F\x8D\x8E", 3), "");                      // Four.
  EXPECT_EQ(CutAtCharacter("", 0), "");
}

TEST(HumanBytesTest, ChoosesTheUnit) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(16 << 20), "16.0 MiB");
  EXPECT_EQ(HumanBytes(std::uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(HumanBytes(std::uint64_t{1} << 52), "4096.0 TiB");
}

TEST(FileTest, GivesBackWhatWasWritten) {
  const TempDir folder;
  // Empty, binary, and larger than what is read at once.
  for (const std::string& bytes :
       {std::string(), std::string("a\0b\r\n\xff", 6), std::string(200'001, 'x')}) {
    ASSERT_THAT(WriteFile(folder / "file", bytes), IsOk());
    EXPECT_THAT(ReadFile(folder / "file"), IsOkAndHolds(bytes));
  }
}

TEST(FileTest, LeavesNoPartBehind) {
  const TempDir folder;
  ASSERT_THAT(WriteFile(folder / "file", "new"), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder / "file.part"));
}

TEST(FileTest, AMissingFileIsNotFound) {
  const TempDir folder;
  EXPECT_THAT(ReadFile(folder / "none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none: no such file")));
  ASSERT_THAT(WriteFile(folder / "file", ""), IsOk());
  EXPECT_THAT(ReadFile(folder / "file" / "below"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("below: no such file")));
}

TEST(FileTest, AFolderCantBeReadAndSaysWhy) {
  const TempDir folder;
  EXPECT_THAT(ReadFile(folder.path()),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(folder.path().string()), HasSubstr("Is a directory"))));
}

TEST(FileTest, AFailedWriteNamesFileAndReasonAndKeepsTheOldFile) {
  const TempDir folder;
  EXPECT_THAT(WriteFile(folder / "none" / "file", "x"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("none/file: can't be written"), HasSubstr("No such file"))));
  // A folder that is not empty can't be replaced by a file.
  std::filesystem::create_directories(folder / "taken" / "by");
  EXPECT_THAT(WriteFile(folder / "taken", "x"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("taken: can't be written")));
  EXPECT_TRUE(std::filesystem::exists(folder / "taken" / "by"));
  EXPECT_FALSE(std::filesystem::exists(folder / "taken.part"));
}

TEST(FileTest, AFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const TempDir folder;
  ASSERT_THAT(WriteFile(folder / "file", "old"), IsOk());
  std::filesystem::create_symlink("/dev/full", folder / "file.part");
  EXPECT_THAT(WriteFile(folder / "file", "new"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("No space left")));
  EXPECT_THAT(ReadFile(folder / "file"), IsOkAndHolds("old"));
}

}  // namespace
}  // namespace orchard::core
