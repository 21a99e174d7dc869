#include "clients/cpp/bench/histogram.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace orchard::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using namespace std::chrono_literals;

TEST(HistogramTest, NothingIsZero) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.mean(), 0ns);
  EXPECT_EQ(empty.max(), 0ns);
  EXPECT_EQ(empty.Quantile(.99), 0ns);
}

TEST(HistogramTest, OneValueIsEveryQuantile) {
  Histogram histogram;
  histogram.Record(12'345'678ns);
  for (const double share : {0.0, .5, .99, 1.0}) {
    EXPECT_EQ(histogram.Quantile(share), 12'345'678ns) << share;
  }
  EXPECT_EQ(histogram.mean(), 12'345'678ns);
}

TEST(HistogramTest, SmallValuesAreExact) {
  for (const int count : {0, 1, 127, 128, 129, 255}) {
    Histogram histogram;
    histogram.Record(nanoseconds(count));
    histogram.Record(1h);  // Or the maximum would hide what its bucket says.
    EXPECT_EQ(histogram.Quantile(.5), nanoseconds(count));
  }
}

// Every power of two with its neighbours, up to the largest duration.
TEST(HistogramTest, IsNeverOffByMoreThanOneIn128AndNeverTooLow) {
  for (int bit = 0; bit < 63; ++bit) {
    for (const std::int64_t step : {-1, 0, 1}) {
      const nanoseconds value((std::int64_t{1} << bit) + step);
      Histogram histogram;
      histogram.Record(value);
      histogram.Record(nanoseconds::max());
      const nanoseconds told = histogram.Quantile(.5);
      EXPECT_GE(told, value) << bit;
      EXPECT_LE(static_cast<double>((told - value).count()),
                static_cast<double>(value.count()) / 128.0)
          << bit;
    }
  }
}

TEST(HistogramTest, QuantilesAreThoseOfTheSortedValues) {
  std::mt19937_64 random(7);
  std::vector<nanoseconds> values;
  Histogram histogram;
  for (int i = 0; i < 10'000; ++i) {
    // Over nine decades.
    const double exponent = static_cast<double>(random() >> 11) * 0x1p-53 * 9.0;
    values.emplace_back(static_cast<std::int64_t>(std::pow(10.0, exponent)));
    histogram.Record(values.back());
  }
  std::ranges::sort(values);
  for (const double share : {.001, .1, .5, .9, .99, .999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(share * 10'000.0)) - 1;
    const auto want = static_cast<double>(values[rank].count());
    const auto told = static_cast<double>(histogram.Quantile(share).count());
    EXPECT_GE(told, want) << share;
    EXPECT_LE(told, want * (1.0 + 1.0 / 128.0)) << share;
  }
  EXPECT_EQ(histogram.min(), values.front());
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(HistogramTest, AddingIsRecordingBoth) {
  Histogram one, two, both;
  for (int i = 1; i <= 100; ++i) {
    (i % 3 == 0 ? one : two).Record(milliseconds(i));
    both.Record(milliseconds(i));
  }
  one.Add(two);
  one.Add(Histogram());
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.min(), both.min());
  EXPECT_EQ(one.max(), both.max());
  EXPECT_EQ(one.mean(), both.mean());
  for (const double share : {.1, .5, .99}) EXPECT_EQ(one.Quantile(share), both.Quantile(share));
}

TEST(HistogramTest, ANegativeDurationIsNone) {
  Histogram histogram;
  histogram.Record(-5ms);
  EXPECT_EQ(histogram.max(), 0ns);
  EXPECT_EQ(histogram.count(), 1u);
}

}  // namespace
}  // namespace orchard::client
