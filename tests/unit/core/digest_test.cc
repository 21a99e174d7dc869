#include "core/digest.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file_pieces.h"
#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace orchard::core {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

// The vectors of FIPS 180-4: one block, none, two blocks.
TEST(Sha256Test, GivesThePublishedVectors) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Test, PiecesGiveTheDigestOfTheWhole) {
  const std::string bytes(100'000, '\x7f');
  Sha256 digest;
  digest.Add(std::string_view(bytes).substr(0, 1));
  digest.Add("");
  digest.Add(std::string_view(bytes).substr(1, 70'000));
  digest.Add(std::string_view(bytes).substr(70'001));
  EXPECT_EQ(digest.Hex(), Sha256Hex(bytes));
}

TEST(Sha256Test, ZeroBytesCount) {
  EXPECT_NE(Sha256Hex(std::string_view("a\0b", 3)), Sha256Hex("a"));
}

TEST(Sha256Test, AFileHasTheDigestOfItsBytes) {
  const testing::TempDir dir;
  const std::string bytes(200'000, '\x7f');  // Several pieces.
  std::filesystem::create_directories(dir / "folder");
  for (const std::string& content : {std::string(), bytes}) {
    ASSERT_THAT(WriteFile(dir / "file", content), IsOk());
    EXPECT_THAT(Sha256OfFile(dir / "file"), IsOkAndHolds(Sha256Hex(content)));
  }
  EXPECT_THAT(Sha256OfFile(dir / "missing"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("missing: no such file")));
  EXPECT_THAT(Sha256OfFile(dir / "folder"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("folder: can't be read")));
}

}  // namespace
}  // namespace orchard::core
