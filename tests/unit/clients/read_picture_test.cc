#include "clients/cpp/read_picture.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <thread>
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
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1 << 20;

class ReadPictureTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (dir_.path() / name).string(); }

  absl::StatusOr<std::string> Read(const std::string& path, std::chrono::milliseconds patience) {
    return ReadPictureFile(path, limit_, patience);
  }

  /// A file of `bytes` that takes no room on the disk.
  std::string Sparse(const std::string& name, std::uint64_t bytes) const {
    std::ofstream(Path(name)).close();
    std::filesystem::resize_file(Path(name), bytes);
    return Path(name);
  }

  orchard::testing::TempDir dir_;
  int asked_ = 0;
  std::optional<std::uint64_t> server_ = 16 * kMiB;
  SizeLimit limit_{[this] {
    ++asked_;
    return server_;
  }};
};

TEST_F(ReadPictureTest, AFileIsReadAsItIs) {
  const std::string bytes("\xff\xd8\0bytes", 8);
  ASSERT_TRUE(core::WriteFile(Path("a.jpg"), bytes).ok());
  EXPECT_THAT(Read(Path("a.jpg"), 10s), IsOkAndHolds(bytes));
  EXPECT_EQ(asked_, 0) << "a small picture is no reason to ask the server";
}

TEST_F(ReadPictureTest, AFileOverTheServersLimitIsToldAndNotRead) {
  const std::string file = Sparse("b.jpg", 17 * kMiB);
  EXPECT_THAT(Read(file, 10s),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(file), HasSubstr("17.0 MiB is over the 16.0 MiB that the "
                                                        "server allows"))));
  EXPECT_THAT(Read(Sparse("c.jpg", 2100 * kMiB), 10s),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2.1 GiB is over")));
  EXPECT_EQ(asked_, 1) << "asked once";
}

TEST_F(ReadPictureTest, WhereTheServerDoesNotSayAMessagesLimitHolds) {
  server_ = std::nullopt;
  EXPECT_THAT(Read(Sparse("b.jpg", 2100 * kMiB), 10s),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("2.1 GiB is over the 2.0 GiB that one message can hold")));
}

TEST_F(ReadPictureTest, WhatHasNoSizeIsReadUpToTheLimit) {
  server_ = 5 * kMiB;
  EXPECT_THAT(Read("/dev/zero", 10s),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/dev/zero: is over the")));
  std::istringstream in(std::string(6 * kMiB, 'x'));
  EXPECT_THAT(ReadPictureStream(in, limit_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("-: is over the 5.0 MiB")));
}

TEST_F(ReadPictureTest, APipeIsReadToItsEnd) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  std::jthread writer([&] { std::ofstream(Path("pipe")) << "apple"; });
  EXPECT_THAT(Read(Path("pipe"), 30s), IsOkAndHolds("apple"));
}

TEST_F(ReadPictureTest, APipeThatNobodyWritesToIsALineAndNoWaitForEver) {
  ASSERT_EQ(::mkfifo(Path("a.jpg").c_str(), 0600), 0);
  EXPECT_THAT(Read(Path("a.jpg"), 50ms), StatusIs(absl::StatusCode::kUnavailable,
                                                  HasSubstr("nobody has written to it for 50ms")));
}

TEST_F(ReadPictureTest, APipeIntoWhichSomethingDripsForEverEndsAsWell) {
  ASSERT_EQ(::mkfifo(Path("a.jpg").c_str(), 0600), 0);
  // Reading and writing, so that the pipe has a writer from the start and never comes to its end.
  const int pipe = ::open(Path("a.jpg").c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  ASSERT_GE(pipe, 0);
  std::jthread drip([pipe](const std::stop_token& stop) {
    while (!stop.stop_requested() && ::write(pipe, "x", 1) >= 0) std::this_thread::sleep_for(1ms);
  });
  EXPECT_THAT(Read(Path("a.jpg"), 100ms),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("has not come to its end within 100ms, after "))));
  drip.request_stop();
  drip.join();
  ::close(pipe);
}

TEST_F(ReadPictureTest, FoldersAndMissingFilesSayWhatTheyAre) {
  std::filesystem::create_directory(Path("a.jpg"));
  EXPECT_THAT(Read(Path("a.jpg"), 10s), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 Path("a.jpg") + ": is a folder, not a picture"));
  EXPECT_THAT(Read("missing.jpg", 10s),
              StatusIs(absl::StatusCode::kNotFound, "missing.jpg: no such file"));
}

TEST_F(ReadPictureTest, AFileThatMayNotBeReadSaysSo) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  ASSERT_TRUE(core::WriteFile(Path("a.jpg"), "apple").ok());
  ::chmod(Path("a.jpg").c_str(), 0);
  EXPECT_THAT(Read(Path("a.jpg"), 10s),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Permission denied")));
}

TEST_F(ReadPictureTest, AFileThatChangesWhileItIsReadIsNotSent) {
  // Asking for the limit comes between looking at the file and reading it.
  const std::string file = Sparse("a.jpg", 5 * kMiB);
  SizeLimit meanwhile([&] {
    std::filesystem::resize_file(file, 6 * kMiB);
    return std::optional<std::uint64_t>(16 * kMiB);
  });
  EXPECT_THAT(ReadPictureFile(file, meanwhile, 10s),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("changed while it was read")));
}

}  // namespace
}  // namespace orchard::client
