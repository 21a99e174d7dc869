// orchard-train as a script sees it: exit codes, and one line for a failure.

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "core/version.h"
#include "tests/e2e/finished.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace orchard {
namespace {

using testing::Count;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::RunToTheEnd;
using ::testing::StartsWith;

Finished Train(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), testing::BinaryPath("orchard-train"));
  // Kernels that suit any CPU that is asked for them: no line about them among those of failures.
  return RunToTheEnd(arguments, {"OPENBLAS_CORETYPE=HASWELL"});
}

TEST(TrainTest, SaysItsVersionAndItsHelp) {
  const Finished version = Train({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, std::string("orchard-train ") + core::kVersion + "\n");
  const Finished help = Train({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("import"));
  EXPECT_THAT(version.err + help.err, IsEmpty());
}

TEST(TrainTest, WrongUsageIsTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"--no-such-flag"},
      {"paint"},
      {"fit"},
      {"eval", "--model", "x", "--data", "y", "--split", "some"},
      {"import", "--weights", "x", "--threads", "2"},
      {"export", "--work", "x", "--data", "y", "--weights", "z", "--out", "o", "--threads", "0"}};
  for (const auto& arguments : wrong) {
    const Finished run = Train(arguments);
    EXPECT_EQ(run.code, 2) << ::testing::PrintToString(arguments);
    EXPECT_THAT(run.out, IsEmpty());
    EXPECT_FALSE(run.err.empty());
  }
}

TEST(TrainTest, AFailureIsOneLineAndOne) {
  const testing::TempDir dir;
  const std::string file = dir / "file";
  ASSERT_THAT(core::WriteFile(file, "no weights"), IsOk());
  std::filesystem::create_directories(dir / "weights");
  ASSERT_THAT(core::WriteFile(dir / "weights/mobilenet_v2.safetensors", "no weights"), IsOk());
  ASSERT_THAT(core::WriteFile(dir / "recipe.textproto", "name: \"x\"\nwrong: 1\n"), IsOk());
  const std::string source = std::getenv("ORCHARD_SOURCE_DIR");
  const std::string recipe = source + "/training/recipes/default_start.textproto";
  const std::string weights = dir / "weights", bad_recipe = dir / "recipe.textproto";
  const std::vector<std::vector<std::string>> failures = {
      {"import", "--weights", dir / "nowhere"},
      {"import", "--weights", weights},
      {"fit", "--recipe", bad_recipe, "--data", weights, "--weights", weights, "--work", dir / "w"},
      // A work folder that can't be made: the file system's exceptions end here too.
      {"fit", "--recipe", recipe, "--data", weights, "--weights", weights, "--work", file + "/w"},
      {"fit", "--recipe", recipe, "--data", weights, "--weights", weights, "--work", dir / "w",
       "--device", "gpu"},
      {"fit", "--recipe", recipe, "--data", weights, "--weights", weights, "--work", dir / "w",
       "--resume"},
      {"export", "--work", dir / "w", "--data", weights, "--weights", weights, "--out",
       file + "/o"},
      {"eval", "--model", dir / "nowhere", "--data", weights},
  };
  for (const auto& arguments : failures) {
    const Finished run = Train(arguments);
    EXPECT_EQ(run.code, 1) << ::testing::PrintToString(arguments) << run.err;
    EXPECT_THAT(run.err, StartsWith("orchard-train: "));
    EXPECT_EQ(Count(run.err, "\n"), 1U) << run.err;
  }
}

}  // namespace
}  // namespace orchard
