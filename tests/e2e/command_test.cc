// The `orchard` command against a real router, as a person or a script uses it.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "core/text.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/finished.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/mute_server.h"
#include "tests/testing/pictures.h"
#include "tests/testing/service_command.h"
#include "tests/testing/silent_port.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model_folder.h"

namespace orchard {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using testing::BinaryPath;
using testing::ChildProcess;
using testing::Finished;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::PortIn;
using testing::RunToTheEnd;
using ::testing::StartsWith;

/// The lines of its output, each an object.
std::vector<json> ObjectsOf(const Finished& run) {
  std::vector<json> objects;
  std::istringstream text(run.out);
  for (std::string line; std::getline(text, line);) objects.push_back(json::parse(line));
  return objects;
}

Finished RunCommand(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), BinaryPath("orchard"));
  return RunToTheEnd(arguments);
}

/// With `redirection` as a shell has it, for example "< file".
Finished RunRedirected(const std::string& redirection, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {"/bin/sh", "-c", "exec \"$@\" " + redirection, "sh", BinaryPath("orchard")});
  return RunToTheEnd(arguments);
}

/// One router for all tests of this file: it starts once.
class CommandTest : public ::testing::Test {
 protected:
  struct World {
    testing::TempDir dir;
    std::unique_ptr<ChildProcess> router;
    std::uint16_t metrics = 0;
    std::string server, leaf, grains, text;
  };

  static void SetUpTestSuite() {
    world_ = new World;
    world_->router = std::make_unique<ChildProcess>(testing::ServiceCommand(
        "orchard-router", testing::SharedTinyModel().path(), {"--drain-delay", "0s"}));
    const std::string ready = world_->router->ReadOutUntil("ready");
    ASSERT_NE(PortIn(ready, "grpc"), 0) << ready;
    world_->server = "127.0.0.1:" + std::to_string(PortIn(ready, "grpc"));
    world_->metrics = PortIn(ready, "metrics");
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

  /// Pictures that the server has answered, over all methods.
  static double Answered() {
    constexpr std::string_view kName = "\norchard_requests_total{code=\"OK\",method=\"Classify";
    const std::string page = testing::HttpGet(world_->metrics, "/metrics");
    double sum = 0.0;
    for (size_t at = page.find(kName); at != std::string::npos; at = page.find(kName, at + 1)) {
      sum += std::stod(page.substr(page.find("} ", at) + 2));
    }
    return sum;
  }

  static World* world_;
};
CommandTest::World* CommandTest::world_ = nullptr;

TEST_F(CommandTest, EveryFieldThatScriptsMayRelyOnIsThere) {
  const Finished run = Classify({"--json", world_->leaf});
  ASSERT_EQ(run.code, 0) << run.err;
  const json answer = ObjectsOf(run).at(0);
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
  for (const json& answer : ObjectsOf(run)) files.insert(answer.at("file").get<std::string>());
  EXPECT_EQ(files, (std::multiset<std::string>{world_->leaf, world_->grains, world_->leaf}));
}

TEST_F(CommandTest, AFolderIsWalked) {
  const Finished run = Classify({(world_->dir / "pictures").string(), "--json"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(ObjectsOf(run).size(), 2u);
}

TEST_F(CommandTest, WhatFailsFailsAloneWithALine) {
  const std::string empty = (world_->dir / "empty").string();
  std::filesystem::create_directories(empty);
  const Finished run = Classify({empty, "missing.jpg", world_->leaf, "--json"});
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(ObjectsOf(run).size(), 1u);
  EXPECT_THAT(run.err, HasSubstr(empty + ": no picture in this folder"));
  EXPECT_THAT(run.err, HasSubstr("missing.jpg: no such file"));
}

TEST_F(CommandTest, ADashIsStandardInput) {
  const Finished named = Classify({world_->leaf, "--json"});
  const Finished piped = RunRedirected(
      "< '" + world_->leaf + "'", {"classify", "--server", world_->server, "--json", "-", "-"});
  ASSERT_EQ(piped.code, 0) << piped.err;
  ASSERT_EQ(ObjectsOf(piped).size(), 2u);
  for (const json& answer : ObjectsOf(piped)) {
    EXPECT_EQ(answer.at("file"), "-");
    EXPECT_EQ(answer.at("predictions"), ObjectsOf(named).at(0).at("predictions"));
  }
}

TEST_F(CommandTest, TopSaysHowManyClassesAreShown) {
  for (const size_t top : {1, 3}) {
    const Finished run =
        Classify({"--top", std::to_string(top), "--policy", "dense", "--json", world_->leaf});
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(ObjectsOf(run).at(0).at("predictions").size(), top);
    EXPECT_EQ(ObjectsOf(run).at(0).at("concepts").size(), top);
  }
}

TEST_F(CommandTest, ADeadServerIsPassedOver) {
  const testing::MuteServer mute;
  for (const std::string& dead : {std::string("127.0.0.1:1"), mute.address()}) {
    const Finished run = RunCommand({"classify", "--server", dead + "," + world_->server,
                                     "--timeout", "6", "--json", world_->leaf});
    EXPECT_EQ(run.code, 0) << dead << ": " << run.err;
    EXPECT_EQ(ObjectsOf(run).size(), 1u);
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
  EXPECT_EQ(ObjectsOf(run).size(), 1u);
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
  EXPECT_EQ(ObjectsOf(run).at(0).at("routing").at("policy"), GetParam().policy);
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

TEST_F(CommandTest, AHugeFileInAFolderIsALineAndTheOthersAreAnswered) {
  const std::string leaf = testing::EncodeJpeg(testing::DrawLeaf(320, 240, 1));
  for (const char* name : {"huge/a.jpg", "huge/c.jpg"}) Put(name, leaf);
  const std::string huge = Put("huge/b.jpg", "");
  std::filesystem::resize_file(huge, std::uintmax_t{2100} << 20);  // Takes no room on the disk.
  const Finished run = Classify({"--json", "--concurrency", "1", (world_->dir / "huge").string()});
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(ObjectsOf(run).size(), 2u);
  EXPECT_THAT(run.err, StartsWith("orchard: " + huge + ": 2.1 GiB is over the"));
  EXPECT_EQ(std::ranges::count(run.err, '\n'), 1);
}

TEST_F(CommandTest, AProxyOfTheEnvironmentIsNotAsked) {
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) {
    const Finished run =
        RunToTheEnd({BinaryPath("orchard"), "classify", "--server", world_->server, world_->leaf},
                    {std::string(name) + "=http://127.0.0.1:9"});
    EXPECT_EQ(run.err, "") << name;
    EXPECT_EQ(run.code, 0) << name;
  }
}

TEST_F(CommandTest, NamesAreShownAndNotObeyed) {
  const std::string leaf = testing::EncodeJpeg(testing::DrawLeaf(320, 240, 1));
  Put("odd/a\nb.jpg", leaf);
  Put("odd/c\x1b[31md.jpg", leaf);
  Put("odd/\xe4pfel.jpg", leaf);
  Put("odd/._c.jpg", "Mac OS X");  // A sidecar, passed over.
  const Finished table = Classify({(world_->dir / "odd").string()});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_EQ(std::ranges::count(table.out, '\n'), 4) << table.out;  // With the heading.
  EXPECT_THAT(table.out, AllOf(Not(HasSubstr("\x1b")), HasSubstr("c\\x1b[31md.jpg "),
                               HasSubstr("a\\nb.jpg "), HasSubstr("\\xe4pfel.jpg ")));
  const Finished lines = Classify({"--json", (world_->dir / "odd").string()});
  EXPECT_EQ(ObjectsOf(lines).size(), 3u);
  EXPECT_THAT(Classify({"no\x1b[31m.jpg"}).err, HasSubstr("no\\x1b[31m.jpg: no such file\n"));
  EXPECT_THAT(RunCommand({"classify", "--no\x1b[31m", "x.jpg"}).err, Not(HasSubstr("\x1b")));
}

TEST_F(CommandTest, AFolderInBracketsIsAFolderAndNoList) {
  const std::string inside =
      Put("[2024]/leaf.jpg", testing::EncodeJpeg(testing::DrawLeaf(320, 240, 1)));
  const Finished run = RunToTheEnd(
      {"/bin/sh", "-c", "cd \"$1\" && exec \"$0\" classify --json --server \"$2\" '[2024]'",
       BinaryPath("orchard"), world_->dir.path().string(), world_->server});
  EXPECT_THAT(run.out, HasSubstr("[2024]/leaf.jpg"));
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(run.code, 0);
}

TEST_F(CommandTest, DurationsAreWrittenAsForTheServers) {
  for (const char* timeout : {"30", "30s", "500000us", "2min"}) {
    EXPECT_EQ(Classify({"--timeout", timeout, world_->leaf}).code, 0) << timeout;
  }
  const Finished run = Classify({"--timeout", "soon", world_->leaf});
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.err, HasSubstr("\"soon\" is not a duration such as 250ms, 30s or 2min"));
}

TEST_F(CommandTest, HelpNamesPoliciesAndNoNumbers) {
  const std::string help = RunCommand({"classify", "--help"}).out;
  EXPECT_THAT(help, HasSubstr("exact, hard, top_k, threshold, nucleus, dense, pinned"));
  EXPECT_THAT(help, Not(HasSubstr("->")));
  EXPECT_THAT(RunCommand({"classify", "--policy", "best", "x.jpg"}).err,
              HasSubstr("\"best\" is no policy; there are exact, hard"));
}

TEST_F(CommandTest, BenchMeasuresInBothWays) {
  for (const std::vector<std::string>& loop : std::vector<std::vector<std::string>>{
           {"--concurrency", "2", "--requests", "12"}, {"--rate", "40", "--requests", "12"}}) {
    std::vector<std::string> command = {"bench",      "--server",    world_->server, "--json",
                                        "--warmup",   "0s",          "--policy",     "dense",
                                        world_->leaf, world_->grains};
    command.insert(command.end(), loop.begin(), loop.end());
    const Finished run = RunCommand(command);
    ASSERT_EQ(run.code, 0) << run.err;
    const json result = json::parse(run.out);
    EXPECT_EQ(result.at("planned"), 12);
    EXPECT_EQ(result.at("ok"), 12);
    EXPECT_EQ(result.at("pictures"), 2);
    EXPECT_GT(result.at("stages_ms").at("encode").at("mean").get<double>(), 0.0);
    EXPECT_GE(result.at("latency_ms").at("p50").get<double>(),
              result.at("stages_ms").at("encode").at("min").get<double>());
  }
}

TEST_F(CommandTest, BenchEndsInOrderWhenItIsInterrupted) {
  const double before = Answered();
  ChildProcess child({BinaryPath("orchard"), "bench", "--server", world_->server, "--json",
                      "--concurrency", "1", "--warmup", "0s", "--duration", "1h", world_->leaf});
  // It has taken over the signal when it asks; before, the signal would end it. And it has an
  // answer when the second one is made: a run without any is a failure.
  EXPECT_TRUE(testing::Eventually([&] { return Answered() >= before + 2; }));
  child.Signal(SIGINT);
  const json result = json::parse(child.RestOfOut());
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(result.at("interrupted"), true);
  EXPECT_GT(result.at("planned"), 0);
}

/// The Python of docs/clients.md, and the files of which its modules are made.
struct PythonExample {
  std::string program;
  std::vector<std::string> protos;
};

PythonExample ReadPythonExample() {
  const char* root = std::getenv("ORCHARD_SOURCE_DIR");
  const std::string page =
      core::ReadFile(std::string(root == nullptr ? "." : root) + "/docs/clients.md").value_or("");
  const size_t section = page.find("## Python\n");
  const size_t begin = page.find("```python\n", section);
  if (section == std::string::npos || begin == std::string::npos) return {};
  PythonExample example;
  example.program = page.substr(begin + 10, page.find("```", begin + 10) - begin - 10);
  std::istringstream before(page.substr(section, begin - section));
  for (std::string word; before >> word;) {
    if (word.starts_with("orchard/v1/")) example.protos.push_back(word);
  }
  return example;
}

TEST_F(CommandTest, ThePythonOfTheDocumentsRuns) {
  const char* chosen = std::getenv("ORCHARD_PYTHON");
  const std::string python = chosen == nullptr ? "/usr/bin/python3" : chosen;
  if (RunToTheEnd({python, "-c", "import grpc"}).code != 0) {
    GTEST_SKIP() << python << " has no grpcio; ORCHARD_PYTHON names another";
  }
  // As the page says it: with grpcio-tools, or else with Debian's protoc and its plugin.
  const bool has_tools = RunToTheEnd({python, "-c", "import grpc_tools"}).code == 0;
  std::string protoc = has_tools
                           ? "\"$2\" -m grpc_tools.protoc"
                           : "protoc --plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin";
  auto [example, protos] = ReadPythonExample();
  ASSERT_FALSE(protos.empty());
  for (const std::string& proto : protos) protoc += " " + proto;
  ASSERT_THAT(example, HasSubstr("127.0.0.1:8001"));
  ASSERT_THAT(example, HasSubstr("photo.jpg"));
  example.replace(example.find("127.0.0.1:8001"), 14, world_->server);
  example.replace(example.find("photo.jpg"), 9, world_->leaf);
  Put("python/example.py", example);
  const Finished run = RunToTheEnd(
      {"/bin/sh", "-c",
       "cd \"$1\" && " + protoc +
           " -I \"$3/proto\" --python_out=. --grpc_python_out=. && exec \"$2\" example.py",
       "sh", (world_->dir / "python").string(), python, std::getenv("ORCHARD_SOURCE_DIR")},
      {"no_grpc_proxy=127.0.0.1"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, ::testing::ContainsRegex("^[a-z]+/[a-z_0-9]+ 0\\.[0-9]+\n$"));
}

struct UsageCase {
  std::string name;
  std::vector<std::string> arguments;
};

class UsageTest : public CommandTest, public ::testing::WithParamInterface<UsageCase> {};

TEST_P(UsageTest, IsExitCodeTwo) { EXPECT_EQ(RunCommand(GetParam().arguments).code, 2); }

INSTANTIATE_TEST_SUITE_P(
    Faults, UsageTest,
    ::testing::Values(
        UsageCase{"nothing", {}}, UsageCase{"unknown_command", {"frobnicate"}},
        UsageCase{"no_picture", {"classify"}},
        UsageCase{"unknown_policy", {"classify", "--policy", "best", "x.jpg"}},
        UsageCase{"tau_out_of_range", {"classify", "--tau", "7", "x.jpg"}},
        UsageCase{"unknown_duration", {"classify", "--timeout", "1m", "x.jpg"}},
        UsageCase{"both_loops", {"bench", "--rate", "1", "--concurrency", "2", "x.jpg"}},
        UsageCase{"both_ends", {"bench", "--requests", "1", "--duration", "2s", "x.jpg"}},
        UsageCase{"seed_of_a_closed_loop", {"bench", "--seed", "2", "x.jpg"}},
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

TEST_F(CommandTest, DescribeTellsOfEveryAddressOfAnExpert) {
  ChildProcess expert(testing::ServiceCommand("orchard-expert", testing::SharedTinyModel().path()));
  const std::string address =
      "127.0.0.1:" + std::to_string(PortIn(expert.ReadOutUntil("ready"), "grpc"));
  const std::vector<std::string> domains = testing::SharedTinyModel().domains();
  const testing::SilentPort nobody;
  const std::string silent = "127.0.0.1:" + std::to_string(nobody.port());
  ChildProcess router(
      testing::ServiceCommand("orchard-router", testing::SharedTinyModel().path(),
                              {"--expert", domains[0] + "=" + address + "," + silent, "--expert",
                               domains[1] + "=" + address, "--drain-delay", "0s"}));
  const std::string server =
      "127.0.0.1:" + std::to_string(PortIn(router.ReadOutUntil("ready"), "grpc"));
  const std::vector<std::string> describe = {"model", "describe", "--endpoints", "--server",
                                             server};
  std::vector<std::string> as_json = describe;
  as_json.push_back("--json");
  json told;
  EXPECT_TRUE(testing::Eventually([&] {  // It takes a moment until all is known.
    const Finished run = RunCommand(as_json);
    EXPECT_EQ(run.code, 0) << run.err;
    told = json::parse(run.out).at("domains");
    const json& both = told.at(0).at("endpoints");
    return both.at(0).at("state") == "up" && both.at(0).at("fingerprint") != "" &&
           both.at(1).at("state") == "down";
  }));
  const json& first = told.at(0).at("endpoints");
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first.at(0).at("address"), address);
  EXPECT_EQ(first.at(1).at("address"), silent);
  EXPECT_EQ(told.at(1).at("endpoints").size(), 1u);
  EXPECT_EQ(told.at(2).at("endpoints").size(), 0u);
  const Finished table = RunCommand(describe);
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, ::testing::ContainsRegex(domains[0] + " +" + address + " +up "));
  EXPECT_THAT(table.out, ::testing::ContainsRegex(domains[0] + " +" + silent + " +down "));
  EXPECT_THAT(table.out, ::testing::ContainsRegex(domains[2] + " +none\n"));
}

TEST_F(CommandTest, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(RunCommand({"--help"}).code, 0);
  EXPECT_THAT(RunCommand({"--version"}).out, HasSubstr("orchard "));
}

}  // namespace
}  // namespace orchard
