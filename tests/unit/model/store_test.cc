#include "model/store.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.h"
#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

namespace fs = std::filesystem;

TEST(ResolveVersionTest, TakesAFolderWithAManifestAsItIs) {
  const testing::TempDir dir;
  fs::create_directories(dir / "7");
  ASSERT_THAT(core::WriteFile(dir / "manifest.json", "{}"), IsOk());
  EXPECT_THAT(ResolveVersion(dir.path()), IsOkAndHolds(dir.path()));
}

TEST(ResolveVersionTest, TakesTheHighestNumberAndNotTheLastName) {
  const testing::TempDir dir;
  for (const char* name : {"2", "9", "10", "draft", "11.old"}) fs::create_directories(dir / name);
  ASSERT_THAT(core::WriteFile(dir / "12", "a file, no version"), IsOk());
  EXPECT_THAT(ResolveVersion(dir.path()), IsOkAndHolds(dir / "10"));
}

TEST(ResolveVersionTest, NamesThePathWithoutAModel) {
  const testing::TempDir dir;
  EXPECT_THAT(ResolveVersion(dir.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(dir.path().string())));
  EXPECT_THAT(ResolveVersion(dir / "absent"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

TEST(DefaultModelTest, IsInTheCheckoutOrSaysWhereItLooked) {
  const auto found = DefaultModel();
  if (found.ok()) {
    EXPECT_EQ(found->filename(), "default");
  } else {
    EXPECT_THAT(found, StatusIs(absl::StatusCode::kNotFound,
                                AllOf(HasSubstr("share/orchard/models/default"),
                                      HasSubstr("models/default"))));
  }
}

struct StoredPart {
  testing::TempDir dir;
  v1::PartFile part;

  explicit StoredPart(const std::string& bytes) {
    EXPECT_THAT(core::WriteFile(dir / "a.safetensors", bytes), IsOk());
    part.set_path("a.safetensors");
    part.set_sha256(core::Sha256Hex(bytes));
  }
};

TEST(ReadPartTest, ReadsWhatTheManifestDescribes) {
  const StoredPart stored(SerialiseSafetensors({{"a", Store({1}, {1}, StoredType::kF32)}}));
  EXPECT_THAT(ReadPart(stored.dir.path(), stored.part), IsOk());
}

TEST(ReadPartTest, GivesBothChecksumsWhenTheyDiffer) {
  StoredPart stored(SerialiseSafetensors({{"a", Store({1}, {1}, StoredType::kF32)}}));
  const std::string actual = stored.part.sha256();
  stored.part.set_sha256(std::string(64, '0'));
  EXPECT_THAT(ReadPart(stored.dir.path(), stored.part),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("a.safetensors"), HasSubstr(actual),
                             HasSubstr(std::string(64, '0')))));
}

TEST(ReadPartTest, NamesTheFileThatIsMissingOrBroken) {
  StoredPart stored("no safetensors at all");
  EXPECT_THAT(ReadPart(stored.dir.path(), stored.part),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a.safetensors")));
  stored.part.set_path("b.safetensors");
  EXPECT_THAT(ReadPart(stored.dir.path(), stored.part),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("b.safetensors")));
}

}  // namespace
}  // namespace orchard::model
