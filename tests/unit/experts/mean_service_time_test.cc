#include "experts/mean_service_time.h"

#include <chrono>
#include <limits>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"

namespace orchard::experts {
namespace {

using core::Clock;
using ::testing::DoubleNear;
using ::testing::Optional;
using namespace std::chrono_literals;

constexpr Clock::time_point kBegin{1000h};

TEST(MeanServiceTimeTest, IsUnknownUntilAReplicaSaysSomething) {
  MeanServiceTime mean;
  mean.Said(0.0, kBegin);  // One that is older than the word.
  EXPECT_EQ(mean.seconds(), std::nullopt);
  mean.Said(0.002, kBegin);
  EXPECT_THAT(mean.seconds(), Optional(0.002));
}

TEST(MeanServiceTimeTest, ADescriptionStandsInForTheFirstAnswerAlone) {
  MeanServiceTime mean;
  mean.Described(0.004);
  EXPECT_THAT(mean.seconds(), Optional(0.004));
  mean.Said(0.002, kBegin);
  EXPECT_THAT(mean.seconds(), Optional(0.002));
  mean.Described(0.004);
  EXPECT_THAT(mean.seconds(), Optional(0.002));
}

TEST(MeanServiceTimeTest, IsTheMeanOfReplicasThatAnswerInTurn) {
  MeanServiceTime mean;
  for (int i = 0; i < 100'000; ++i) mean.Said(i % 2 == 0 ? 0.001 : 0.003, kBegin + i * 1ms);
  EXPECT_THAT(mean.seconds(), Optional(DoubleNear(0.002, 1e-5)));
}

TEST(MeanServiceTimeTest, FadesByTimeWhateverTheRate) {
  for (const auto pause : {1ms, 50ms, 1000ms}) {
    MeanServiceTime mean(10s);
    mean.Said(0.010, kBegin);
    Clock::time_point now = kBegin;
    for (; now < kBegin + 10s; now += pause) mean.Said(0.001, now);
    mean.Said(0.001, kBegin + 10s);
    // A third, and a bit, of the nine thousandths by which the first one was off.
    EXPECT_THAT(mean.seconds(), Optional(DoubleNear(0.001 + 0.009 * 0.3679, 1e-4)));
  }
}

TEST(MeanServiceTimeTest, ToldNonsenseItIsDeaf) {
  MeanServiceTime mean;
  mean.Said(0.002, kBegin);
  for (const double nonsense : {-1.0, 1e9, std::numeric_limits<double>::quiet_NaN()}) {
    mean.Said(nonsense, kBegin + 1h);
    mean.Described(nonsense);
  }
  EXPECT_THAT(mean.seconds(), Optional(0.002));
}

}  // namespace
}  // namespace orchard::experts
