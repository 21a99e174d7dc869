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
using ::testing::HasSubstr;
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

TEST(SettingsFaultsTest, AFileThatIsNoTomlIsAFaultWithItsLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\nnote = apple\n", "note: a text stands in quotes: \"apple\", in "},
      {"\nmax-image-bytes = 16MiB\n", "max-image-bytes: a text stands in quotes: \"16MiB\""},
      {"\nlisten = 127.0.0.1:8001\n", "listen: a text stands in quotes: \"127.0.0.1:8001\""},
      {"\nexpert = [a=b]\n", "expert: a text stands in quotes: \"a=b\""},
      {"\nnote = \"a\n", "note: the closing \" is missing"},
      {"\nnote = \"a\" b\n", "note: nothing may follow the value"},
      {"\nnote = \"\\d\"\n", "note: \\ stands before"},
      {"\nnote =\n", "note: the value is missing"},
      {"\nnote\n", "note: is not key = value"},
      {"\n[a\n", "a section's name ends with ]"},
      {"\nexpert = [\"a=b\" \"c=d\"]\n", "expert: values of an array are separated by commas"},
  };
  for (const auto& [text, want] : cases) {
    App app;
    const std::string file = WriteConfig(text);
    EXPECT_THAT(app.Parse({"--config", file}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(want), HasSubstr(", in " + file + " line 2"))))
        << text;
  }
}

TEST(SettingsFaultsTest, AnArrayWithoutAnEndIsAFault) {
  App app;
  const std::string file = WriteConfig("expert = [\"a=b\",\n");
  EXPECT_THAT(app.Parse({"--config", file}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                      HasSubstr("expert: the array has no ]")));
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
  EXPECT_THAT(app.Parse({"--config", file}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("in-flight: given twice")));
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
