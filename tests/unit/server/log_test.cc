#include "server/log.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace orchard::server {
namespace {

std::string Line(std::string_view event, std::vector<LogField> fields) {
  return FormatLogLine(event, fields);
}

TEST(LogTest, FieldsAreKeyValueInTheirOrder) {
  EXPECT_EQ(Line("classify", {{"request_id", "7f3a"},
                              {"code", absl::StatusCode::kResourceExhausted},
                              {"images", 3},
                              {"bytes", size_t{1} << 40},
                              {"in_flight", std::int64_t{-1}},
                              {"degraded", false},
                              {"exact", true}}),
            "event=classify request_id=7f3a code=RESOURCE_EXHAUSTED images=3 bytes=1099511627776 "
            "in_flight=-1 degraded=false exact=true");
}

TEST(LogTest, NumbersHaveThreeDecimalsAtMost) {
  EXPECT_EQ(Line("e", {{"a", 12.3}, {"b", 10.0}, {"c", 0.12349}, {"d", 100.5}, {"z", 0.0}}),
            "event=e a=12.3 b=10 c=0.123 d=100.5 z=0");
}

struct EscapeCase {
  std::string name;
  std::string value;
  std::string want;
};

class LogEscapeTest : public ::testing::TestWithParam<EscapeCase> {};

TEST_P(LogEscapeTest, ALineStaysOneLineAndEveryValueEnds) {
  EXPECT_EQ(Line("e", {{"m", GetParam().value}}), "event=e m=" + GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, LogEscapeTest,
    ::testing::Values(EscapeCase{"Plain", "a/b:1,2;[x]", "a/b:1,2;[x]"},
                      EscapeCase{"Empty", "", "\"\""},
                      EscapeCase{"Space", "not found", "\"not found\""},
                      EscapeCase{"Quote", "say \"no\"", R"("say \"no\"")"},
                      EscapeCase{"OnlyQuote", "\"", R"("\"")"},
                      EscapeCase{"Equals", "a=b", "\"a=b\""},
                      EscapeCase{"Backslash", "c:\\x", R"("c:\\x")"},
                      EscapeCase{"Newline", "a\nevent=forged", R"("a\nevent=forged")"},
                      EscapeCase{"Tab", "a\tb", R"("a\tb")"},
                      EscapeCase{"Control", "\x1b[31m", R"("\u001b[31m")"},
                      EscapeCase{"Carriage", "a\rb", R"("a\u000db")"},
                      EscapeCase{"Utf8", "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
                      EscapeCase{"Utf8AndSpace", "\xc3\xa9 x", "\"\xc3\xa9 x\""}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(LogTest, TheLevelDecidesWhatIsWritten) {
  StartLog(LogLevel::kWarning);
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kError));
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "quiet");
  Log(LogLevel::kWarning, "loud", {{"key", "a value"}});
  EXPECT_TRUE(FlushLog(std::chrono::seconds(60)));
  const std::string text = ::testing::internal::GetCapturedStderr();
  StartLog(LogLevel::kInfo);
  EXPECT_EQ(text.rfind("ts=2", 0), 0u) << text;
  EXPECT_NE(text.find("Z level=warning event=loud key=\"a value\"\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("quiet"), std::string::npos) << text;
}

TEST(LogTest, OffIsOffForErrorsAsWell) {
  StartLog(LogLevel::kOff);
  EXPECT_FALSE(LogEnabled(LogLevel::kError));
  EXPECT_FALSE(LogEnabled(LogLevel::kOff));
  StartLog(LogLevel::kInfo);
}

}  // namespace
}  // namespace orchard::server
