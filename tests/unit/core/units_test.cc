#include "core/units.h"

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

struct BytesCase {
  std::string text;
  std::optional<std::uint64_t> want;
};

TEST(ParseBytesTest, ReadsUnitsAndRefusesTheRest) {
  const BytesCase cases[] = {
      {"0", 0},
      {"65536", 65536},
      {"64KiB", 65536},
      {"16MiB", 16u << 20},
      {"2GiB", 2u << 30},
      {"1kB", {}},  // Decimal units mean two things to people.
      {"5MB", {}},
      {"1GB", {}},
      {"1.5KiB", 1536},
      {"0.5MiB", 512u << 10},
      {"", {}},
      {"MiB", {}},
      {"16mib", {}},
      {"16 MiB", {}},
      {"-1", {}},
      {"1e6", {}},
      {"1.", {}},
      {".5KiB", {}},
      {"1.2.3KiB", {}},
      {"0.3", {}},
      {"9223372036854775808", {}},
      {"9000000000GiB", {}},
  };
  for (const BytesCase& c : cases) EXPECT_EQ(ParseBytes(c.text), c.want) << c.text;
}

TEST(FormatBytesTest, IsShortAndExact) {
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatBytes(1500), "1500");
  EXPECT_EQ(FormatBytes(16u << 20), "16MiB");
  EXPECT_EQ(FormatBytes(12'000'000), "12000000");
}

struct DurationCase {
  std::string text;
  std::optional<nanoseconds> want;
};

TEST(ParseDurationTest, ReadsUnitsAndPlainSeconds) {
  const DurationCase cases[] = {
      {"1s", seconds(1)},
      {"250ms", milliseconds(250)},
      {"2", seconds(2)},
      {"0.25", milliseconds(250)},
      {"1.5s", milliseconds(1500)},
      {"2min", seconds(120)},
      {"1h", seconds(3600)},
      {"10us", nanoseconds(10'000)},
      {"0", nanoseconds(0)},
      {"", {}},
      {"-1s", {}},
      {"1m", {}},
      {"1 s", {}},
      {"s", {}},
      {"inf", {}},
      {"1e3", {}},
      {"0.0000000001", {}},
      {"99999999999h", {}},
  };
  for (const DurationCase& c : cases) EXPECT_EQ(ParseDuration(c.text), c.want) << c.text;
}

TEST(FormatDurationTest, WhatIsWrittenIsReadAgain) {
  for (const nanoseconds value :
       {nanoseconds(0), nanoseconds(milliseconds(250)), nanoseconds(seconds(1)),
        nanoseconds(seconds(90)), nanoseconds(seconds(120)), nanoseconds(1)}) {
    EXPECT_EQ(ParseDuration(FormatDuration(value)), value) << FormatDuration(value);
  }
  EXPECT_EQ(FormatDuration(seconds(120)), "2min");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1500ms");
}

}  // namespace
}  // namespace orchard::core
