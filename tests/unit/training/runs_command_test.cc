// The run log as a user sees it: a run that is killed, goes on, and is compared with another.

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/text.h"
#include "tests/e2e/finished.h"
#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/training/tiny_run.h"
#include "training/log/records.h"
#include "training/log/sqlite_store.h"

namespace orchard::training {
namespace {

using testing::ChildProcess;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RunsTest : public ::testing::Test {
 protected:
  RunsTest() {
    v1::Recipe recipe = TinyRecipe();
    recipe.mutable_optimisation()->set_epochs(10000);  // More than anyone waits for.
    std::string text;
    google::protobuf::TextFormat::PrintToString(recipe, &text);
    EXPECT_THAT(core::WriteFile(root_ / "tiny.textproto", text), IsOk());
  }

  std::vector<std::string> FitCommand(const std::string& work,
                                      const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {testing::BinaryPath("orchard-train"),
                                        "fit",
                                        "--recipe",
                                        root_ / "tiny.textproto",
                                        "--data",
                                        root_ / "data",
                                        "--weights",
                                        root_ / "weights",
                                        "--work",
                                        root_ / work,
                                        "--threads",
                                        "1"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }

  Finished Runs(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {testing::BinaryPath("orchard-train"), "runs"});
    arguments.insert(arguments.end(), {"--run-log", log_});
    return testing::RunToTheEnd(arguments, {"OPENBLAS_CORETYPE=HASWELL"});
  }

  /// An empty array while there is no log.
  nlohmann::json List() const {
    const Finished run = Runs({"list", "--json"});
    return run.code == 0 ? nlohmann::json::parse(run.out) : nlohmann::json::array();
  }

  TinyRun root_;
  std::string log_ = root_ / "runs.sqlite";
};

TEST_F(RunsTest, AKilledRunIsSeenAndGoesOn) {
  {
    ChildProcess fit(testing::InEnvironment({"OPENBLAS_CORETYPE=HASWELL"}, FitCommand("first")));
    const bool two_epochs = testing::Eventually([&] {
      const nlohmann::json runs = List();
      return !runs.empty() && runs[0]["epochs"] >= 3;  // One of the heads.
    });
    EXPECT_TRUE(two_epochs) << List();
    EXPECT_EQ(List()[0]["state"], "running");
    fit.Signal(SIGKILL);
    fit.Wait();
  }
  nlohmann::json runs = List();
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0]["state"], "killed");
  EXPECT_EQ(runs[0]["study"], "masked_moe");
  const size_t epochs = runs[0]["epochs"];
  const Finished resumed = testing::RunToTheEnd(
      FitCommand("first", {"--resume", "--stop-after", std::to_string(epochs + 1)}),
      {"OPENBLAS_CORETYPE=HASWELL"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  runs = List();
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0]["state"], "stopped");
  EXPECT_EQ(runs[0]["pieces"], 2);
  EXPECT_EQ(runs[0]["epochs"], epochs + 2);  // Those of the recipe, and the heads'.

  const Finished other =
      testing::RunToTheEnd(FitCommand("second", {"--set", "epochs=1", "--set", "seed=6"}),
                           {"OPENBLAS_CORETYPE=HASWELL"});
  EXPECT_EQ(other.code, 0) << other.err;
  runs = List();
  ASSERT_THAT(runs, SizeIs(2));
  EXPECT_EQ(runs[0]["state"], "finished");  // The newest comes first.
  const Finished shown = Runs({"show", "last", "--json"});
  ASSERT_EQ(shown.code, 0) << shown.err;
  const nlohmann::json run = nlohmann::json::parse(shown.out);
  EXPECT_EQ(run["facts"]["data"]["train"], 16);
  EXPECT_EQ(run["files"].back()["name"], kFinal);
  EXPECT_EQ(run["epochs"][1]["phase"], "epoch");
  EXPECT_TRUE(run["epochs"][1]["measures"].contains("gate1"));
  EXPECT_GT(run["epochs"][1]["pictures_per_second"], 0.0);
  const Finished compared = Runs({"compare", runs[0]["id"], runs[1]["id"]});
  EXPECT_EQ(compared.code, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("optimisation.epochs  1"));
  EXPECT_THAT(compared.out, HasSubstr("best_validation"));
}

TEST_F(RunsTest, ALogThatCannotBeWrittenEndsNoRun) {
  const Finished run = testing::RunToTheEnd(
      FitCommand("first", {"--set", "epochs=1", "--run-log", root_ / "nowhere/runs.sqlite"}),
      {"OPENBLAS_CORETYPE=HASWELL"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("the run goes on"));
  EXPECT_TRUE(std::filesystem::exists(root_ / "first" / kFinal));
  // What was kept can be taken into a log.
  const Finished taken = Runs({"import", root_ / "first" / kUnsentLog});
  EXPECT_EQ(taken.code, 0) << taken.err;
  EXPECT_EQ(List()[0]["state"], "finished");

  const Finished none =
      testing::RunToTheEnd(FitCommand("second", {"--set", "epochs=1", "--run-log", "none"}),
                           {"OPENBLAS_CORETYPE=HASWELL"});
  EXPECT_EQ(none.code, 0) << none.err;
  EXPECT_FALSE(std::filesystem::exists(root_ / "second" / kRunId));
}

TEST_F(RunsTest, NamesInALogAreShownAndNotObeyed) {
  RunHistory run;
  run.run.id = "1";
  run.run.name = "\x1b[31mred\xc2\x9b";
  ASSERT_THAT(SqliteStore(log_).Put("1", RecordsOf(run)), IsOk());
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"list"}, {"show", "1"}, {"list", "--json"}}) {
    const Finished shown = Runs(words);
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("[31mred"));
    EXPECT_EQ(shown.out.find_first_of("\x1b\x9b"), std::string::npos) << words[0];
  }
}

TEST_F(RunsTest, FaultsAreOneLine) {
  for (const auto& [arguments, part] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"list"}, "there is no such run log"}, {{"show", "x"}, "there is no such run log"}}) {
    const Finished run = Runs(arguments);
    EXPECT_EQ(run.code, 1);
    EXPECT_THAT(run.err, StartsWith("orchard-train: "));
    EXPECT_THAT(run.err, HasSubstr(part));
    EXPECT_EQ(testing::Count(run.err, "\n"), 1U) << run.err;
    EXPECT_THAT(run.out, IsEmpty());
  }
}

}  // namespace
}  // namespace orchard::training
