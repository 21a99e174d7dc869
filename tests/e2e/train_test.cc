// orchard-train as a script sees it: exit codes, and one line for a failure.

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "core/version.h"
#include "tests/e2e/finished.h"
#include "tests/testing/child_process.h"
#include "tests/testing/pictures.h"
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
      {"export", "--work", "x", "--data", "y", "--weights", "z", "--out", "o", "--threads", "0"},
      {"self-test", "--steps", "0"}};
  for (const auto& arguments : wrong) {
    const Finished run = Train(arguments);
    EXPECT_EQ(run.code, 2) << ::testing::PrintToString(arguments);
    EXPECT_THAT(run.out, IsEmpty());
    EXPECT_FALSE(run.err.empty());
  }
}

TEST(TrainTest, NamesAreShownAndNotObeyed) {
  const testing::TempDir dir;
  std::filesystem::create_directories(dir / "data" / "a\x1b[31mb" / "red");
  const Finished run =
      Train({"new", "--data", (dir / "data").string(), "--out", (dir / "recipe").string()});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr("folder \"a\\x1b[31mb\" can't be a domain's name"));
  const Finished usage = Train({"new", "--data", "x", "--out", "y", "\x1b[31mz"});
  EXPECT_EQ(usage.code, 2);
  EXPECT_THAT(usage.err, HasSubstr("\\x1b[31mz"));
  EXPECT_THAT(run.err + usage.err, ::testing::Not(HasSubstr("\x1b")));
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
      // The pretrained encoder is asked for by the studies that begin with it.
      {"fit", "--recipe", recipe, "--data", weights, "--work", dir / "w"},
      {"measure", "--work", dir / "nowhere", "--data", weights},
      {"eval", "--model", dir / "nowhere", "--data", weights},
      {"self-test", "--device", "gpu"},
  };
  for (const auto& arguments : failures) {
    const Finished run = Train(arguments);
    EXPECT_EQ(run.code, 1) << ::testing::PrintToString(arguments) << run.err;
    EXPECT_THAT(run.err, StartsWith("orchard-train: "));
    EXPECT_EQ(Count(run.err, "\n"), 1U) << run.err;
  }
}

/// Two classes of drawn pictures and a network that learns them in a second or two.
std::string TinyStudy(const testing::TempDir& dir) {
  for (size_t i = 0; i < 8; ++i) {
    const auto shade = static_cast<std::uint8_t>(100 + 10 * i);
    for (const bool red : {true, false}) {
      const std::filesystem::path folder = dir / "data" / "plain" / (red ? "red" : "blue");
      std::filesystem::create_directories(folder);
      const vision::Image image = testing::DrawPlain(16, 16, red ? shade : 9, 9, red ? 9 : shade);
      EXPECT_THAT(core::WriteFile(folder / (std::to_string(i) + ".png"), testing::EncodePng(image)),
                  IsOk());
    }
  }
  const std::string recipe = dir / "recipe.textproto";
  EXPECT_THAT(core::WriteFile(recipe, R"(
      name: "tiny" seed: 1
      domains { name: "plain" branch: "sound" }
      data { validation_share: 0.25 epoch_pictures: 64 }
      preprocessing {
        profile: "tiny" shorter_side: 16 crop: 16 framing: WHOLE_PICTURE
        mean: [0.5, 0.5, 0.5] std: [0.25, 0.25, 0.25]
      }
      optimisation { epochs: 5 batch: 4 head_rate: 0.001 average_decay: 0.9 }
      vit_moe { network { side: 16 width: 16 layers: 2 heads: 4 hidden: 32 } drop_path: 0.1 }
    )"),
              IsOk());
  return recipe;
}

TEST(TrainTest, AKilledRunGoesOnToTheSameNetwork) {
  const testing::TempDir dir;
  const std::string recipe = TinyStudy(dir);
  const auto fit = [&](const std::string& work) {
    return std::vector<std::string>{testing::BinaryPath("orchard-train"),
                                    "fit",
                                    "--recipe",
                                    recipe,
                                    "--data",
                                    dir / "data",
                                    "--work",
                                    dir / work,
                                    "--threads",
                                    "1"};
  };
  const std::vector<std::string> kernels = {"OPENBLAS_CORETYPE=HASWELL"};
  const Finished whole = RunToTheEnd(fit("whole"), kernels);
  ASSERT_EQ(whole.code, 0) << whole.err;
  {
    testing::ChildProcess run(fit("killed"), kernels);
    ASSERT_THAT(run.ReadErrUntil("epoch 2/5  loss"), HasSubstr("pictures/s"));
    run.Signal(SIGKILL);
    EXPECT_EQ(run.Wait(), 128 + SIGKILL);
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "killed" / "final.safetensors"));
  auto resume = fit("killed");
  resume.emplace_back("--resume");
  const Finished resumed = RunToTheEnd(resume, kernels);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  for (const char* file : {"final.safetensors", "checkpoint.safetensors", "best.safetensors"}) {
    EXPECT_TRUE(*core::ReadFile(dir / "whole" / file) == *core::ReadFile(dir / "killed" / file))
        << file;
  }
}

TEST(TrainTest, SelfTestSaysWhatTheDeviceDid) {
  const Finished run =
      Train({"self-test", "--device", "cpu", "--threads", "1", "--batch", "8", "--steps", "2"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, StartsWith("LibTorch "));
  EXPECT_THAT(run.out, HasSubstr("device cpu\n"));
  EXPECT_THAT(run.out, HasSubstr("the largest difference from the CPU is 0.0e+00"));
  EXPECT_THAT(run.out, HasSubstr("training, 2 steps of 8 pictures an epoch: loss "));
}

}  // namespace
}  // namespace orchard
