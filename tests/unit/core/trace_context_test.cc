#include "core/trace_context.h"

#include <ostream>
#include <string>

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

constexpr char kGood[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContextTest, ReadsAndWritesTheSame) {
  const auto trace = ParseTraceparent(kGood);
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace->trace_high, 0x4bf92f3577b34da6U);
  EXPECT_EQ(trace->trace_low, 0xa3ce929d0e0e4736U);
  EXPECT_EQ(trace->span, 0x00f067aa0ba902b7U);
  EXPECT_EQ(trace->flags, 1);
  EXPECT_EQ(ToTraceparent(*trace), kGood);
  EXPECT_EQ(TraceId(*trace), "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(TraceContextTest, FlagsThatNobodyKnowsAreDropped) {
  const auto trace = ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff");
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace->flags, 3);
}

TEST(TraceContextTest, HalfAnIdOfZerosIsAnId) {
  EXPECT_TRUE(ParseTraceparent("00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-00"));
  EXPECT_TRUE(ParseTraceparent("00-4bf92f3577b34da60000000000000000-00f067aa0ba902b7-00"));
}

struct Refused {
  const char* name;
  std::string text;
};

void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }

class TraceparentRefusalTest : public ::testing::TestWithParam<Refused> {};

TEST_P(TraceparentRefusalTest, BeginsANewTrace) {
  EXPECT_FALSE(ParseTraceparent(GetParam().text).has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Table, TraceparentRefusalTest,
    ::testing::Values(
        Refused{"Empty", ""},
        Refused{"OtherVersion", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        Refused{"VersionFf", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        Refused{"UpperCase", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"},
        Refused{"NoHex", "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"},
        Refused{"ZeroTrace", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
        Refused{"ZeroSpan", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"},
        Refused{"ShortTrace", "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"},
        Refused{"ShortSpan", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01"},
        Refused{"NoFlags", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"},
        Refused{"OneFlagDigit", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"},
        Refused{"UpperCaseFlags", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A"},
        Refused{"Longer", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"},
        Refused{"Space", " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        Refused{"OtherDash", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        Refused{"DashElsewhere", "00-4bf92f3577b34da6a3ce929d0e0e47361-0f067aa0ba902b7-01"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(RequestIdTest, IsPrintableAndShort) {
  EXPECT_TRUE(IsRequestId("my-picture-7"));
  EXPECT_TRUE(IsRequestId(std::string(128, 'x')));
  EXPECT_FALSE(IsRequestId(""));
  EXPECT_FALSE(IsRequestId(std::string(129, 'x')));
  EXPECT_FALSE(IsRequestId("two words"));
  EXPECT_FALSE(IsRequestId("line\nbreak"));
  EXPECT_FALSE(IsRequestId("\xc3\xa4"));
}

TEST(RequestIdTest, OfAPartIsOneToo) {
  EXPECT_EQ(RequestIdOfPart("picture", 7), "picture.7");
  for (const size_t size : {125U, 126U, 127U, 128U}) {
    const std::string id = RequestIdOfPart(std::string(size, 'x'), 12);
    EXPECT_TRUE(IsRequestId(id)) << size;
    EXPECT_TRUE(id.ends_with("x.12")) << size;
  }
}

}  // namespace
}  // namespace orchard::core
