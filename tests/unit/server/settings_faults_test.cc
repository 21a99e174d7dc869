#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/settings.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/server/app.h"

namespace orchard::server {
namespace {

using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using testing::App;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::WriteConfig;

struct FaultCase {
  std::string name;
  std::vector<std::string> arguments;
  std::string want;
};

class SettingsFaultTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(SettingsFaultTest, SaysTheSettingTheValueAndWhatIsAllowed) {
  App app;
  EXPECT_THAT(app.Parse(GetParam().arguments),
              StatusIs(absl::StatusCode::kInvalidArgument, GetParam().want));
}

INSTANTIATE_TEST_SUITE_P(
    Table, SettingsFaultTest,
    ::testing::Values(
        FaultCase{"OutOfRange",
                  {"--in-flight", "0"},
                  "--in-flight: \"0\" is not a whole number from 1 to 65536"},
        FaultCase{"NotANumber",
                  {"--in-flight=many"},
                  "--in-flight: \"many\" is not a whole number from 1 to 65536"},
        FaultCase{
            "Bytes",
            {"--max-image-bytes", "2TiB"},
            "--max-image-bytes: \"2TiB\" is not a size such as 65536 or 16MiB (units KiB, MiB, "
            "GiB; MB means two things) from 1KiB to 1GiB"},
        FaultCase{
            "DecimalBytes",
            {"--max-image-bytes", "5MB"},
            "--max-image-bytes: \"5MB\" is not a size such as 65536 or 16MiB (units KiB, MiB, "
            "GiB; MB means two things) from 1KiB to 1GiB"},
        FaultCase{"Duration",
                  {"--drain-delay", "1m"},
                  "--drain-delay: \"1m\" is not a duration such as 250ms, 1s or 2min from 0s to "
                  "10min"},
        FaultCase{"Number", {"--tau", "1.5"}, "--tau: \"1.5\" is not a number from 0 to 1"},
        FaultCase{"Choice", {"--mood", "sad"}, "--mood: \"sad\" is not one of calm|wild"},
        FaultCase{"Address",
                  {"--listen", "8001"},
                  "--listen: \"8001\" is not an address HOST:PORT (an IPv6 host in brackets, a "
                  "port from 0 to 65535)"},
        FaultCase{
            "Rule", {"--expert", "a:1"}, "--expert: \"a:1\" names no domain (DOMAIN=ADDRESS)"},
        FaultCase{"UnknownFlag", {"--frobnicate"}, "--frobnicate: unknown flag"},
        FaultCase{
            "Misspelt", {"--inflight", "5"}, "--inflight: unknown flag; did you mean --in-flight?"},
        FaultCase{"Positional", {"run"}, "\"run\": unexpected argument"},
        FaultCase{"ShortFlag", {"-v"}, "\"-v\": unexpected argument"},
        FaultCase{"NoValueAtTheEnd",
                  {"--tau"},
                  "--tau: the value is missing; it takes a number from 0 to 1"},
        FaultCase{"NoValueBeforeAFlag",
                  {"--tau", "--in-flight", "3"},
                  "--tau: the value is missing; it takes a number from 0 to 1"},
        FaultCase{"EmptyValue", {"--note="}, "--note: \"\" is not a text that is not empty"},
        FaultCase{
            "Twice", {"--tau=0.1", "--tau=0.2"}, "--tau: takes one value, given 2: 0.1, 0.2"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(SettingsFaultsTest, AllFaultsOfAllSourcesComeAtOnceAndNothingIsWritten) {
  App app;
  const std::string file = WriteConfig("tau = 7\nmod = \"calm\"\nin-flight = 9\n");
  const absl::StatusOr<Settings::Next> next =
      app.Parse({"--in-flight", "0", "--wrong", "--note=kept?", "--config", file},
                {{"ORCHARD_DRAIN_DELAY", "soon"}, {"ORCHARD_EXPERT", "a=1:1;b"}});
  EXPECT_THAT(
      next,
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("--wrong: unknown flag"),
                     HasSubstr("mod: unknown key in " + file + "; did you mean mood?"),
                     HasSubstr("--in-flight: \"0\" is not a whole number from 1 to 65536"),
                     HasSubstr("--tau: \"7\" is not a number from 0 to 1 (from " + file + ")"),
                     HasSubstr("--drain-delay: \"soon\" is not a duration"),
                     HasSubstr("(from ORCHARD_DRAIN_DELAY)"),
                     HasSubstr("--expert: \"b\" names no domain (DOMAIN=ADDRESS) (from "
                               "ORCHARD_EXPERT)"))));
  EXPECT_EQ(std::ranges::count(next.status().message(), '\n'), 5);
  EXPECT_EQ(app.note, std::nullopt);
}

TEST(SettingsFaultsTest, SeparatorsAloneAreAFaultAndNotAnEmptyList) {
  for (const char* text : {";", " ; ;"}) {
    App app;
    EXPECT_THAT(app.Parse({}, {{"ORCHARD_EXPERT", text}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "--expert: separators without a value (from ORCHARD_EXPERT)"))
        << text;
  }
}

TEST(SettingsFaultsTest, AMissingFileIsNamedBesideTheOtherFaults) {
  App app;
  EXPECT_THAT(app.Parse({"--config", "/no/such/file.toml", "--tau", "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--config: /no/such/file.toml"), HasSubstr("--tau"))));
}

TEST(SettingsFaultsTest, AKeyInASectionIsUnknownAndNotSilentlyDropped) {
  App app;
  const std::string file = WriteConfig("[router]\nin-flight = 3\n");
  EXPECT_THAT(app.Parse({"--config", file}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("router.in-flight")));
}

TEST(SettingsFaultsTest, AListForASingleValueIsAFault) {
  App app;
  const std::string file = WriteConfig("in-flight = [1, 2]\n");
  EXPECT_THAT(app.Parse({"--config", file}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes one value, given 2")));
}

TEST(SettingsFaultsTest, AFileThatIsNoTomlIsAFaultWithItsLineAndColumn) {
  const std::vector<std::pair<std::string, int>> cases = {
      {"note = \"a", 10},
      {"note = \"a\" b", 12},
      {"note = \"\\d\"", 10},
      {"note =", 7},
      {"note", 5},
      {"[a", 3},
      {"expert = [\"a=b\" \"c=d\"]", 17},
  };
  for (const auto& [line, column] : cases) {
    App app;
    const std::string file = WriteConfig("\n" + line + "\ntau = 0.5\n");
    EXPECT_THAT(app.Parse({"--config", file}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("Error while parsing "),
                               EndsWith(absl::StrCat(", in ", file, " line 2 column ", column)),
                               Not(HasSubstr("stands in quotes")))))
        << line;
  }
}

TEST(SettingsFaultsTest, ATextWithoutQuotesIsAFaultWithItsRemedy) {
  for (const char* line : {"note = apple", "note = info", "note = a # with a comment",
                           "max-image-bytes = 16MiB", "drain-delay = 5s", "listen = 127.0.0.1:8001",
                           "listen = [::1]:8001", "expert = [a=b]", "expert = [\n  a=b,\n]"}) {
    App app;
    const std::string file = WriteConfig(std::string("\n") + line + "\n");
    EXPECT_THAT(app.Parse({"--config", file}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("; a text stands in quotes, and so does a number with a unit, "
                                   "in " +
                                   file + " line ")))
        << line;
  }
}

TEST(SettingsFaultsTest, ASyntaxFaultHidesNoOtherFault) {
  App app;
  const std::string file =
      WriteConfig("note = apple\ntau = 7\nmax-image-bytes = 16MiB\nmod = \"calm\"\n");
  const absl::StatusOr<Settings::Next> next = app.Parse({"--config", file});
  EXPECT_THAT(next, StatusIs(absl::StatusCode::kInvalidArgument,
                             AllOf(HasSubstr(file + " line 1 column 8\n"),
                                   HasSubstr(file + " line 3 column 21\n"),
                                   HasSubstr("mod: unknown key in " + file),
                                   HasSubstr("--tau: \"7\" is not a number from 0 to 1"))));
  EXPECT_EQ(std::ranges::count(next.status().message(), '\n'), 3);
}

TEST(SettingsFaultsTest, AFileWithoutAnythingRightEndsAllTheSame) {
  App app;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "what is this\n";
  const absl::StatusOr<Settings::Next> next = app.Parse({"--config", WriteConfig(text)});
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(std::ranges::count(next.status().message(), '\n'), 19);
}

TEST(SettingsFaultsTest, AnArrayWithoutAnEndIsAFault) {
  App app;
  const std::string file = WriteConfig("expert = [\"a=b\",\n");
  EXPECT_THAT(app.Parse({"--config", file}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "Error while parsing array: encountered end-of-file, in " + file +
                           " line 1 column 18"));
}

TEST(SettingsFaultsTest, DatesAndTablesInListsAreNoValues) {
  for (const char* value : {"2026-01-31", "12:30:00", "[[\"a\"]]", "[{a = 1}]"}) {
    App app;
    const std::string file = WriteConfig(absl::StrCat("note = ", value, "\n"));
    const absl::StatusOr<Settings::Next> next = app.Parse({"--config", file});
    EXPECT_THAT(next, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("note: is no text, number, true or false, nor a list of "
                                         "such; a text stands in quotes, in " +
                                         file + " line 1 column ")))
        << value;
    EXPECT_EQ(std::ranges::count(next.status().message(), '\n'), 0);
  }
}

TEST(SettingsFaultsTest, TlsSettingsThatMakeNoSenseTogetherAreFaults) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--tls-cert=a.pem"}, "--tls-cert: needs --tls-key"},
      {{"--tls-key=a.key"}, "--tls-key: needs --tls-cert"},
      {{"--tls-client-ca=a.pem"}, "--tls-client-ca: needs --tls-cert and --tls-key"},
      {{"--tls-cert=a.pem", "--tls-key=a.key", "--tls-client-name=x"},
       "--tls-client-name: needs --tls-client-ca"},
      {{"--metrics-tls"}, "--http-tls, --metrics-tls: need --tls-cert"},
      {{"--http-tls"}, "--http-tls, --metrics-tls: need --tls-cert"},
  };
  for (const auto& [arguments, want] : cases) {
    App app;
    EXPECT_THAT(app.Parse(arguments),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(want)));
  }
}

TEST(SettingsFaultsTest, AKeyGivenTwiceIsAFault) {
  App app;
  const std::string file = WriteConfig("in-flight = 1\ntau = 0.5\nin-flight = 2\n");
  EXPECT_THAT(
      app.Parse({"--config", file}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("cannot redefine existing integer 'in-flight', in " + file + " line 3")));
}

TEST(SettingsFaultsTest, ARequiredSettingMustComeFromSomewhere) {
  std::string data;
  Settings settings("orchard-train eval", "1", "Evaluates.");
  settings.Add("data", data, "Pictures.").Required();
  std::ostringstream out;
  const auto unset = [](const char*) -> const char* { return nullptr; };
  EXPECT_THAT(settings.Parse({}, unset, out),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--data: must be given: a text that is not empty (or ORCHARD_DATA, or in "
                       "the file)"));
  EXPECT_THAT(settings.Parse({"--data", "d"}, unset, out), IsOkAndHolds(Settings::Next::kRun));
  EXPECT_EQ(data, "d");
}

TEST(ParseMainTest, FaultsGoToStderrWithExitCodeTwo) {
  App app;
  const char* const argv[] = {"small-app", "--tau", "9", "--wrong"};
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(app.settings.ParseMain(4, argv), 2);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "small-app: the settings can't be used:\n"
            "  --wrong: unknown flag\n"
            "  --tau: \"9\" is not a number from 0 to 1\n"
            "See small-app --help\n");
}

TEST(ParseMainTest, HelpGoesToStdoutWithExitCodeZero) {
  App app;
  const char* const argv[] = {"small-app", "--help"};
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(app.settings.ParseMain(2, argv), 0);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), app.settings.Help());
}

TEST(ParseMainTest, WithoutFaultsTheProgramRuns) {
  App app;
  const char* const argv[] = {"small-app", "--tau", "0.1"};
  EXPECT_EQ(app.settings.ParseMain(3, argv), std::nullopt);
  EXPECT_EQ(app.tau, 0.1);
}

}  // namespace
}  // namespace orchard::server
