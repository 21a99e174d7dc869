#include "server/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/server/app.h"

namespace orchard::server {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;
using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::App;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::WriteConfig;

TEST(SettingsTest, WithoutAnythingTheDefaultsStay) {
  App app;
  ASSERT_THAT(app.Parse({}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, 256);
  EXPECT_EQ(app.process.listen.ToString(), "127.0.0.1:8001");
  EXPECT_EQ(app.process.drain_delay, milliseconds(1000));
  EXPECT_THAT(app.experts, IsEmpty());
  EXPECT_EQ(app.note, std::nullopt);
}

TEST(SettingsTest, EveryKindIsReadFromAFlag) {
  App app;
  ASSERT_THAT(app.Parse({"--in-flight", "8", "--max-image-bytes=4MiB", "--tau", "0.25",
                         "--allow-torchscript", "--mood", "wild", "--model", "m/2", "--note=a b",
                         "--listen", "[::1]:0", "--drain-delay", "250ms", "--drain-timeout=2"}),
              IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, 8);
  EXPECT_EQ(app.max_image_bytes, size_t{4} << 20);
  EXPECT_EQ(app.tau, 0.25);
  EXPECT_TRUE(app.allow_torchscript);
  EXPECT_EQ(app.mood, testing::Mood::kWild);
  EXPECT_EQ(app.model, "m/2");
  EXPECT_EQ(app.note, "a b");
  EXPECT_EQ(app.process.listen, (Address{.host = "::1", .port = 0}));
  EXPECT_EQ(app.process.drain_delay, milliseconds(250));
  EXPECT_EQ(app.process.drain_timeout, milliseconds(2000));
}

struct PrecedenceCase {
  std::string name;
  bool flag;
  bool variable;
  bool file;
  int want;
};

class PrecedenceTest : public ::testing::TestWithParam<PrecedenceCase> {};

TEST_P(PrecedenceTest, FlagThenEnvironmentThenFileThenDefault) {
  App app;
  std::vector<std::string> arguments;
  App::Variables variables;
  const std::string file = ::testing::TempDir() + "/precedence_" + GetParam().name + ".toml";
  std::ofstream(file) << (GetParam().file ? "in-flight = 3\n" : "# nothing\n");
  arguments.insert(arguments.end(), {"--config", file});
  if (GetParam().flag) arguments.insert(arguments.end(), {"--in-flight", "1"});
  if (GetParam().variable) variables["ORCHARD_IN_FLIGHT"] = "2";
  ASSERT_THAT(app.Parse(arguments, variables), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(Table, PrecedenceTest,
                         ::testing::Values(PrecedenceCase{"All", true, true, true, 1},
                                           PrecedenceCase{"NoFlag", false, true, true, 2},
                                           PrecedenceCase{"OnlyFile", false, false, true, 3},
                                           PrecedenceCase{"Nothing", false, false, false, 256},
                                           PrecedenceCase{"FlagAndFile", true, false, true, 1},
                                           PrecedenceCase{"OnlyVariable", false, true, false, 2}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(SettingsTest, ARepeatableSettingIsRepeatedAsAFlag) {
  App app;
  ASSERT_THAT(app.Parse({"--expert", "apple=a:1,b:2", "--expert=rice=[::1]:3"}),
              IsOkAndHolds(Settings::Next::kRun));
  EXPECT_THAT(app.experts, ElementsAre("apple=a:1,b:2", "rice=[::1]:3"));
}

TEST(SettingsTest, ARepeatableSettingIsSeparatedBySemicolonsInItsVariable) {
  App app;
  ASSERT_THAT(app.Parse({}, {{"ORCHARD_EXPERT", "apple=a:1,b:2;rice=c:3;"}}),
              IsOkAndHolds(Settings::Next::kRun));
  EXPECT_THAT(app.experts, ElementsAre("apple=a:1,b:2", "rice=c:3"));
}

TEST(SettingsTest, OnlyARepeatableSettingIsSplit) {
  App app;
  ASSERT_THAT(app.Parse({}, {{"ORCHARD_NOTE", "a;b"}}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.note, "a;b");
}

TEST(SettingsTest, TheFileHasTextsNumbersListsAndComments) {
  App app;
  const std::string file = WriteConfig(
      "# a comment\n"
      "in-flight = 12  # another\n"
      "allow-torchscript = true\n"
      "listen = \"0.0.0.0:9001\"\n"
      "note = \"two words, and a comma\"\n"
      "drain-delay = \"5s\"\n"
      "expert = [  # the near ones\n  \"apple=a:1,b:2\",\n  # and the far one\n  "
      "\"rice=[::1]:3\"\n]\n"
      "tau = 0.125\n");
  ASSERT_THAT(app.Parse({"--config=" + file}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, 12);
  EXPECT_TRUE(app.allow_torchscript);
  EXPECT_EQ(app.process.listen.ToString(), "0.0.0.0:9001");
  EXPECT_EQ(app.note, "two words, and a comma");
  EXPECT_EQ(app.process.drain_delay, milliseconds(5000));
  EXPECT_EQ(app.tau, 0.125);
  EXPECT_THAT(app.experts, ElementsAre("apple=a:1,b:2", "rice=[::1]:3"));
}

TEST(SettingsTest, TextsInTheFileMayHoldAnything) {
  App app;
  const std::string file = WriteConfig(
      "note = \"issue #7: \\\"a\\\", b\"  # which is not a comment\n"
      "model = 'c:\\no escapes #here'\nin-flight = 1_000\n");
  ASSERT_THAT(app.Parse({"--config=" + file}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.note, "issue #7: \"a\", b");
  EXPECT_EQ(app.model, "c:\\no escapes #here");
  EXPECT_EQ(app.in_flight, 1000);
}

TEST(SettingsTest, TheFileMayUseAllFormsOfToml) {
  App app;
  const std::string file = WriteConfig(
      "\"in-flight\" = 0x10\ntau = 1e-1\nnote = \"\"\"\ntwo\nlines\"\"\"\n"
      "model = \"caf\\u00e9\"\nmax-image-bytes = 1_048_576\nallow-torchscript=true\r\n");
  ASSERT_THAT(app.Parse({"--config=" + file}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, 16);
  EXPECT_EQ(app.tau, 0.1);
  EXPECT_EQ(app.note, "two\nlines");
  EXPECT_EQ(app.model, "caf\xc3\xa9");
  EXPECT_EQ(app.max_image_bytes, size_t{1} << 20);
  EXPECT_TRUE(app.allow_torchscript);
}

TEST(SettingsTest, AVariableOfTheProgramsOwnWinsOverTheSharedOne) {
  int batch = 4;
  Settings settings("orchard-router", "1", "Routes.");
  settings.Add("max-batch", batch, "Pictures.").OwnVariable("ORCHARD_ROUTER_MAX_BATCH");
  std::map<std::string, std::string> variables = {{"ORCHARD_MAX_BATCH", "32"}};
  const auto environment = [&variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  std::ostringstream out;
  ASSERT_THAT(settings.Parse({}, environment, out), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(batch, 32);  // The shared name stays.
  variables["ORCHARD_ROUTER_MAX_BATCH"] = "8";
  ASSERT_THAT(settings.Parse({}, environment, out), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(batch, 8);
  EXPECT_NE(settings.Help().find("[env: ORCHARD_ROUTER_MAX_BATCH, else ORCHARD_MAX_BATCH]"),
            std::string::npos);
}

TEST(SettingsTest, OneExpertMayBeATextInTheFile) {
  App app;
  const std::string file = WriteConfig("expert = \"apple=a:1,b:2\"\n");
  ASSERT_THAT(app.Parse({"--config", file}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_THAT(app.experts, ElementsAre("apple=a:1,b:2"));
}

TEST(SettingsTest, TheFileMayBeNamedByTheEnvironment) {
  App app;
  const std::string file = WriteConfig("in-flight = 12\n");
  ASSERT_THAT(app.Parse({}, {{"ORCHARD_CONFIG", file}}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, 12);
}

TEST(SettingsTest, AnEmptyVariableCountsAsUnset) {
  App app;
  ASSERT_THAT(app.Parse({}, {{"ORCHARD_IN_FLIGHT", ""}}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.in_flight, 256);
}

TEST(SettingsTest, VariablesThatKubernetesMakesAreNoFaults) {
  App app;
  EXPECT_THAT(app.Parse({}, {{"ORCHARD_ROUTER_SERVICE_HOST", "10.0.0.1"}}),
              IsOkAndHolds(Settings::Next::kRun));
}

TEST(SettingsTest, ASwitchCanBeTurnedOffAgain) {
  App app;
  ASSERT_THAT(app.Parse({"--allow-torchscript=false"}, {{"ORCHARD_ALLOW_TORCHSCRIPT", "true"}}),
              IsOkAndHolds(Settings::Next::kRun));
  EXPECT_FALSE(app.allow_torchscript);
}

TEST(SettingsTest, AValueMayBeginWithADash) {
  App app;
  ASSERT_THAT(app.Parse({"--note", "-x", "--model=--y"}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.note, "-x");
  EXPECT_EQ(app.model, "--y");
}

TEST(SettingsTest, VersionIsOneLineAndEndsTheProgram) {
  App app;
  ASSERT_THAT(app.Parse({"--version", "--in-flight", "1"}), IsOkAndHolds(Settings::Next::kExit));
  EXPECT_EQ(app.out.str(), "small-app 1.2.3\n");
  EXPECT_EQ(app.in_flight, 256);
}

TEST(SettingsTest, SomeMayBeReadAloneWhateverTheOthersSay) {
  App app;
  const std::string file = WriteConfig("tau = 0.25\nin-flight = 0\nno such line\nnobody = 1\n");
  const auto environment = [](const char* name) -> const char* {
    return std::string(name) == "ORCHARD_MOOD" ? "sad" : nullptr;
  };
  ASSERT_THAT(
      app.settings.ParseOnly({"tau", "note"},
                             {"--config", file, "--note=x", "--drain-delay", "soon"}, environment),
      IsOk());
  EXPECT_EQ(app.tau, 0.25);
  EXPECT_EQ(app.note, "x");
  EXPECT_EQ(app.in_flight, 256);
}

TEST(SettingsTest, OfThoseReadAloneFaultsAreTold) {
  App app;
  const auto nothing = [](const char*) -> const char* { return nullptr; };
  EXPECT_THAT(app.settings.ParseOnly({"tau"}, {"--tau", "2", "--moot", "calm"}, nothing),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--tau: \"2\" is not a number from 0 to 1"),
                             HasSubstr("--moot: unknown flag; did you mean --mood?"))));
  EXPECT_THAT(app.settings.ParseOnly({"tau"}, {"--config", "/none.toml"}, nothing),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/none.toml")));
  EXPECT_EQ(app.tau, 0.5);
}

TEST(SettingsTest, WhatIsAFlagOnlyIsNoVariableAndNoKeyOfTheFile) {
  App app;
  ASSERT_THAT(app.Parse({}, {{"ORCHARD_PROBE", "127.0.0.1:1"}}),
              IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.process.probe.address, std::nullopt);
  const std::string file = WriteConfig("probe = \"127.0.0.1:1\"\n");
  EXPECT_THAT(app.Parse({"--config", file}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "probe: can only be given as a flag, not in " + file));
  ASSERT_THAT(app.Parse({"--probe", "127.0.0.1:1"}), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(app.process.probe.address->port, 1);
}

TEST(SettingsTest, HelpWinsOverFaults) {
  App app;
  ASSERT_THAT(app.Parse({"--no-such-flag", "--help"}), IsOkAndHolds(Settings::Next::kExit));
  EXPECT_EQ(app.out.str(), app.settings.Help());
}

}  // namespace
}  // namespace orchard::server
