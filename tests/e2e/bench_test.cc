// The measuring programs with input that they can't use: a sentence and exit code 1, never a
// signal.

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/e2e/finished.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace orchard {
namespace {

using testing::BinaryPath;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::RunToTheEnd;
using ::testing::StartsWith;

class BenchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(BinaryPath("bench_pipeline"))) {
      GTEST_SKIP() << "configured without ORCHARD_BENCHMARKS";
    }
    ASSERT_THAT(testing::WriteTinyModel(dir_ / "model"), IsOk());
    std::filesystem::create_directories(dir_ / "pictures");
    std::filesystem::create_directories(dir_ / "empty");
    ASSERT_THAT(core::WriteFile(dir_ / "pictures/leaf.jpg",
                                testing::EncodeJpeg(testing::DrawLeaf(320, 240, 1))),
                IsOk());
  }

  /// A text file among the pictures, as people have them.
  void AddText() {
    ASSERT_THAT(core::WriteFile(dir_ / "pictures/notes.txt", "not a picture"), IsOk());
  }

  Finished Pipeline(const std::string& mode, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {BinaryPath("bench_pipeline"),
                                        "--mode",
                                        mode,
                                        "--model",
                                        dir_ / "model",
                                        "--images",
                                        dir_ / "pictures",
                                        "--pictures",
                                        "20"};
    command.insert(command.end(), more.begin(), more.end());
    return RunToTheEnd(command);
  }

  testing::TempDir dir_;
};

TEST_F(BenchTest, MeasuresAFolderOfPictures) {
  const Finished run = Pipeline("plain");
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("pictures_per_second"));
}

TEST_F(BenchTest, ATextFileAmongThePicturesIsASentenceAndOne) {
  AddText();
  for (const char* mode : {"reference", "plain", "forward", "pipeline"}) {
    const Finished run = Pipeline(mode);
    EXPECT_EQ(run.code, 1) << mode << ": " << run.err;
    EXPECT_THAT(run.err, HasSubstr("bench_pipeline: ")) << mode;
    EXPECT_THAT(run.err, HasSubstr("notes.txt")) << mode;
    EXPECT_THAT(run.out, IsEmpty()) << mode;
  }
}

TEST_F(BenchTest, NoPicturesAndNoModelAreSentencesToo) {
  for (const char* mode : {"reference", "plain", "forward", "pipeline"}) {
    const Finished empty = RunToTheEnd({BinaryPath("bench_pipeline"), "--mode", mode, "--model",
                                        dir_ / "model", "--images", dir_ / "empty"});
    EXPECT_EQ(empty.code, 1) << mode << empty.err;
    EXPECT_THAT(empty.err, HasSubstr("no pictures")) << mode;
    const Finished nowhere = RunToTheEnd({BinaryPath("bench_pipeline"), "--mode", mode, "--model",
                                          dir_ / "nowhere", "--images", dir_ / "pictures"});
    EXPECT_EQ(nowhere.code, 1) << mode << nowhere.err;
    EXPECT_THAT(nowhere.err, StartsWith("bench_pipeline: ")) << mode;
  }
}

TEST_F(BenchTest, WrongUsageIsTwo) {
  EXPECT_EQ(Pipeline("sideways").code, 2);
  EXPECT_EQ(Pipeline("plain", {"--threads", "0"}).code, 2);
  EXPECT_EQ(RunToTheEnd({BinaryPath("bench_shards")}).code, 2);
}

TEST_F(BenchTest, ShardsOfNoModelAreASentenceAndOne) {
  const Finished run = RunToTheEnd({BinaryPath("bench_shards"), "--model", dir_ / "nowhere"});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr("nowhere"));
}

}  // namespace
}  // namespace orchard
