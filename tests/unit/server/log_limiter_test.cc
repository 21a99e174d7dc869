#include "server/log_limiter.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace orchard::server {
namespace {

using namespace std::chrono_literals;

constexpr core::Clock::time_point kNow{1h};

TEST(LogLimiterTest, WritesTheFirstAndThenACountEachInterval) {
  LogLimiter limiter(10s);
  EXPECT_EQ(limiter.Admit(kNow), 0U);
  for (int i = 1; i < 10; ++i) EXPECT_EQ(limiter.Admit(kNow + i * 1s), std::nullopt);
  EXPECT_EQ(limiter.Admit(kNow + 10s), 9U);
  EXPECT_EQ(limiter.Admit(kNow + 11s), std::nullopt);
  EXPECT_EQ(limiter.Admit(kNow + 60s), 1U);
  EXPECT_EQ(limiter.Admit(kNow + 70s), 0U);
}

TEST(LogLimiterTest, LosesNoCountWhenManyThreadsLog) {
  LogLimiter limiter(10s);
  std::atomic<std::uint64_t> written = 0, left_out = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          if (const auto count = limiter.Admit(kNow)) {
            ++written;
            left_out += *count;
          }
        }
      });
    }
  }
  EXPECT_EQ(written, 1U);
  EXPECT_EQ(left_out + *limiter.Admit(kNow + 10s), 3999U);
}

}  // namespace
}  // namespace orchard::server
