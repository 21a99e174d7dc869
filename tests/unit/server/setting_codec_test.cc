#include "server/setting_codec.h"

#include <cstdint>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace orchard::server {
namespace {

using std::chrono::seconds;

TEST(CodecTest, ADurationThatTheTypeCantHoldIsRefused) {
  const auto codec = CodecOf(std::type_identity<seconds>{});
  EXPECT_EQ(codec.parse("2s"), seconds(2));
  EXPECT_EQ(codec.parse("250ms"), std::nullopt);
}

TEST(CodecTest, WholeNumbersStayInTheirType) {
  EXPECT_EQ(CodecOf(std::type_identity<std::uint8_t>{}).parse("255"), 255);
  EXPECT_EQ(CodecOf(std::type_identity<std::uint8_t>{}).parse("256"), std::nullopt);
  EXPECT_EQ(CodecOf(std::type_identity<size_t>{}).parse("-1"), std::nullopt);
  EXPECT_EQ(CodecOf(std::type_identity<int>{}).parse("-5"), -5);
  for (const char* text : {"", " 1", "1 ", "1.0", "0x10", "1_000", "one"}) {
    EXPECT_EQ(CodecOf(std::type_identity<int>{}).parse(text), std::nullopt) << text;
  }
}

TEST(CodecTest, NumbersAreFinite) {
  const auto codec = CodecOf(std::type_identity<double>{});
  EXPECT_EQ(codec.parse("0.1"), 0.1);
  EXPECT_EQ(codec.format(0.1), "0.1");
  for (const char* text : {"nan", "inf", "1e999", "", "1,5", "0.1x"}) {
    EXPECT_EQ(codec.parse(text), std::nullopt) << text;
  }
}

TEST(CodecTest, YesAndNoHaveManyNames) {
  for (const char* text : {"true", "TRUE", "yes", "on", "1"}) EXPECT_EQ(ParseBool(text), true);
  for (const char* text : {"false", "no", "Off", "0"}) EXPECT_EQ(ParseBool(text), false);
  for (const char* text : {"", "2", "tru"}) EXPECT_EQ(ParseBool(text), std::nullopt);
}

}  // namespace
}  // namespace orchard::server
