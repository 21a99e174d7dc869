// The `orchard` command against a real router, as a person or a script uses it.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "core/text.h"
#include "nlohmann/json.hpp"
#include "tests/testing/child_process.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace orchard {
namespace {

using nlohmann::json;
using testing::BinaryPath;
using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::PortIn;

struct Finished {
  int code = -1;
  std::string out, err;

  /// Lines of `out`, each an object.
  std::vector<json> Objects() const {
    std::vector<json> objects;
    std::istringstream text(out);
    for (std::string line; std::getline(text, line);) objects.push_back(json::parse(line));
    return objects;
  }
};

Finished Run(const std::vector<std::string>& command) {
  ChildProcess child(command);
  Finished finished;
  finished.out = child.RestOfOut();
  finished.err = child.RestOfErr();
  finished.code = child.Wait().value_or(-1);
  return finished;
}

Finished RunCommand(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), BinaryPath("orchard"));
  return Run(arguments);
}

/// With `redirection` as a shell has it, for example "< file".
Finished RunRedirected(const std::string& redirection, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {"/bin/sh", "-c", "exec \"$@\" " + redirection, "sh", BinaryPath("orchard")});
  return Run(arguments);
}

/// One router for all tests of this file: it starts once.
class CommandTest : public ::testing::Test {
 protected:
  struct World {
    testing::TempDir dir;
    std::unique_ptr<ChildProcess> router;
    std::string server, leaf, grains, text;
  };

  static void SetUpTestSuite() {
    world_ = new World;
    ASSERT_THAT(testing::WriteTinyModel(world_->dir / "model/1"), IsOk());
    world_->router = std::make_unique<ChildProcess>(std::vector<std::string>{
        BinaryPath("orchard-router"), "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
        "--metrics-listen", "127.0.0.1:0", "--model", (world_->dir / "model").string(),
        "--drain-delay", "0s"});
    const std::string ready = world_->router->ReadOutUntil("ready");
    ASSERT_NE(PortIn(ready, "grpc"), 0) << ready;
    world_->server = "127.0.0.1:" + std::to_string(PortIn(ready, "grpc"));
    world_->leaf = Put("pictures/leaf.jpg", testing::EncodeJpeg(testing::DrawLeaf(320, 240, 1)));
    world_->grains =
        Put("pictures/b/grains.PNG", testing::EncodePng(testing::DrawGrains(90, 99, 2)));
    world_->text = Put("not_a_picture.jpg", "hello");
  }

  static void TearDownTestSuite() {
    world_->router->Signal(SIGTERM);
    EXPECT_EQ(world_->router->Wait(), 0);
    delete world_;
  }

  static std::string Put(const std::string& name, const std::string& bytes) {
    const std::filesystem::path path = world_->dir / name;
    std::filesystem::create_directories(path.parent_path());
    EXPECT_THAT(core::WriteFile(path, bytes), IsOk());
    return path.string();
  }

  static Finished Classify(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"classify", "--server", world_->server});
    return RunCommand(std::move(arguments));
  }

  static World* world_;
};
CommandTest::World* CommandTest::world_ = nullptr;

TEST_F(CommandTest, EveryFieldThatScriptsMayRelyOnIsThere) {
  const Finished run = Classify({"--json", world_->leaf});
  ASSERT_EQ(run.code, 0) << run.err;
  const json answer = run.Objects().at(0);
  for (const char* field :
       {"file", "predictions", "concepts", "routing", "coverage", "exact", "outcome", "degraded",
        "missing", "model_version", "latency_ms", "stages_ms"}) {
    EXPECT_TRUE(answer.contains(field)) << field;
  }
  for (const char* stage : {"decode", "queue", "encode", "experts", "combine"}) {
    EXPECT_TRUE(answer.at("stages_ms").at(stage).is_number()) << stage;
  }
  EXPECT_EQ(answer.at("file"), world_->leaf);
  EXPECT_EQ(answer.at("routing").at("policy"), "EXACT");
  EXPECT_EQ(answer.at("routing").at("domains").size(), 4u);
  EXPECT_EQ(answer.at("exact"), true);
  EXPECT_EQ(answer.at("model_version"), "tiny/1");
}

TEST_F(CommandTest, PicturesAfterServerArePicturesAndRepeatsAreAnswered) {
  const Finished run = Classify({world_->leaf, world_->grains, world_->leaf, "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  std::multiset<std::string> files;
  for (const json& answer : run.Objects()) files.insert(answer.at("file").get<std::string>());
  EXPECT_EQ(files, (std::multiset<std::string>{world_->leaf, world_->grains, world_->leaf}));
}

TEST_F(CommandTest, AFolderIsWalked) {
  const Finished run = Classify({(world_->dir / "pictures").string(), "--json"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.Objects().size(), 2u);
}

TEST_F(CommandTest, WhatFailsFailsAloneWithALine) {
  const std::string empty = (world_->dir / "empty").string();
  std::filesystem::create_directories(empty);
  const Finished run = Classify({empty, "missing.jpg", world_->leaf, "--json"});
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.Objects().size(), 1u);
  EXPECT_THAT(run.err, HasSubstr(empty + ": no picture in this folder"));
  EXPECT_THAT(run.err, HasSubstr("missing.jpg: no such file"));
}

TEST_F(CommandTest, ADashIsStandardInput) {
  const Finished named = Classify({world_->leaf, "--json"});
  const Finished piped = RunRedirected(
      "< '" + world_->leaf + "'", {"classify", "--server", world_->server, "--json", "-", "-"});
  ASSERT_EQ(piped.code, 0) << piped.err;
  ASSERT_EQ(piped.Objects().size(), 2u);
  for (const json& answer : piped.Objects()) {
    EXPECT_EQ(answer.at("file"), "-");
    EXPECT_EQ(answer.at("predictions"), named.Objects().at(0).at("predictions"));
  }
}

TEST_F(CommandTest, TopSaysHowManyClassesAreShown) {
  for (const size_t top : {1, 3}) {
    const Finished run =
        Classify({"--top", std::to_string(top), "--policy", "dense", "--json", world_->leaf});
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(run.Objects().at(0).at("predictions").size(), top);
    EXPECT_EQ(run.Objects().at(0).at("concepts").size(), top);
  }
}

TEST_F(CommandTest, ADeadServerIsPassedOver) {
  const testing::MuteServer mute;
  for (const std::string& dead : {std::string("127.0.0.1:1"), mute.address()}) {
    const Finished run = RunCommand({"classify", "--server", dead + "," + world_->server,
                                     "--timeout", "6", "--json", world_->leaf});
    EXPECT_EQ(run.code, 0) << dead << ": " << run.err;
    EXPECT_EQ(run.Objects().size(), 1u);
  }
}

TEST_F(CommandTest, TheTimeoutIsKeptAndASentenceSaysThatNobodyAnswered) {
  const testing::MuteServer mute;
  const auto begin = core::Clock::now();
  const Finished run =
      RunCommand({"classify", "--server", mute.address(), "--timeout", "0.3", world_->leaf});
  EXPECT_LT(core::Clock::now() - begin, std::chrono::seconds(10));  // The timeout without the flag.
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.err, "orchard: " + world_->leaf + ": no server answers at " + mute.address() +
                         "; start one with orchard-router, or name another with --server\n");
}

TEST_F(CommandTest, AnswersOnAFullDiskAreExitCodeOneWithTheReason) {
  const std::vector<std::vector<std::string>> commands = {{"classify", world_->leaf},
                                                          {"classify", "--json", world_->leaf},
                                                          {"model", "describe"},
                                                          {"model", "describe", "--json"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"--server", world_->server});
    const Finished run = RunRedirected("> /dev/full", command);
    EXPECT_EQ(run.code, 1) << ::testing::PrintToString(command);
    EXPECT_EQ(run.err, "orchard: answers can't be written: No space left on device\n");
  }
}

TEST_F(CommandTest, SomeFailedIsExitCodeOneWithTheReason) {
  const Finished run = Classify({world_->text, world_->leaf, "--json"});
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.Objects().size(), 1u);
  EXPECT_THAT(run.err, HasSubstr("not_a_picture.jpg: INVALID_ARGUMENT"));
}

struct PolicyCase {
  std::string name;
  std::vector<std::string> flags;
  std::string policy;
};

class PolicyTest : public CommandTest, public ::testing::WithParamInterface<PolicyCase> {};

TEST_P(PolicyTest, IsAppliedAndReported) {
  std::vector<std::string> arguments = GetParam().flags;
  arguments.insert(arguments.end(), {"--json", world_->leaf});
  const Finished run = Classify(arguments);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.Objects().at(0).at("routing").at("policy"), GetParam().policy);
}

INSTANTIATE_TEST_SUITE_P(
    All, PolicyTest,
    ::testing::Values(PolicyCase{"exact", {"--policy", "exact"}, "EXACT"},
                      PolicyCase{"hard", {"--policy", "hard"}, "HARD"},
                      PolicyCase{"top_k", {"--policy", "top_k", "--k", "3"}, "TOP_K"},
                      PolicyCase{
                          "threshold", {"--policy", "threshold", "--tau", "0.2"}, "THRESHOLD"},
                      PolicyCase{"nucleus", {"--policy", "nucleus", "--tau", "0.8"}, "NUCLEUS"},
                      PolicyCase{"dense", {"--policy", "dense"}, "DENSE"},
                      PolicyCase{"pinned", {"--policy", "pinned", "--domain", "leaf"}, "PINNED"},
                      PolicyCase{"domain", {"--domain", "leaf"}, "PINNED"}),
    [](const auto& param_info) { return param_info.param.name; });

struct UsageCase {
  std::string name;
  std::vector<std::string> arguments;
};

class UsageTest : public CommandTest, public ::testing::WithParamInterface<UsageCase> {};

TEST_P(UsageTest, IsExitCodeTwo) { EXPECT_EQ(RunCommand(GetParam().arguments).code, 2); }

INSTANTIATE_TEST_SUITE_P(
    Faults, UsageTest,
    ::testing::Values(UsageCase{"nothing", {}}, UsageCase{"unknown_command", {"frobnicate"}},
                      UsageCase{"no_picture", {"classify"}},
                      UsageCase{"unknown_policy", {"classify", "--policy", "best", "x.jpg"}},
                      UsageCase{"tau_out_of_range", {"classify", "--tau", "7", "x.jpg"}},
                      UsageCase{"unknown_flag", {"classify", "--colour", "x.jpg"}}),
    [](const auto& param_info) { return param_info.param.name; });

TEST_F(CommandTest, AnUnknownPinIsRefusedByTheServerWithTheNamesItKnows) {
  const Finished run = Classify({"--domain", "plankton", world_->leaf});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr("plankton"));
  EXPECT_THAT(run.err, HasSubstr("vegetable"));
}

TEST_F(CommandTest, DescribeNamesDomainsBranchesAndClasses) {
  const Finished run = RunCommand({"model", "describe", "--json", "--server", world_->server});
  ASSERT_EQ(run.code, 0) << run.err;
  const json model = json::parse(run.out);
  ASSERT_EQ(model.at("domains").size(), 4u);
  for (const json& domain : model.at("domains")) {
    EXPECT_TRUE(domain.at("name").is_string());
    EXPECT_TRUE(domain.at("branch").is_string());
    EXPECT_GE(domain.at("classes").size(), 2u);
  }
}

TEST_F(CommandTest, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(RunCommand({"--help"}).code, 0);
  EXPECT_THAT(RunCommand({"--version"}).out, HasSubstr("orchard "));
}

}  // namespace
}  // namespace orchard
