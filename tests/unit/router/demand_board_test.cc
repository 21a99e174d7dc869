#include "router/demand_board.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "tests/testing/eventually.h"

namespace orchard::router {
namespace {

using core::Clock;
using orchard::testing::Eventually;
using ::testing::MatchesRegex;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr size_t kApple = 0;
constexpr size_t kRice = 1;

/// A board that never looks by itself within a test: what is told was told for a reason.
DemandBoard::Options Still(std::optional<double> service_seconds = 0.010) {
  return {.period = 1h, .service_seconds = [=](size_t) { return service_seconds; }};
}

PeerReport Says(const std::string& instance, bool apple_active) {
  const Demand apple = {.rows_per_second = apple_active ? 70.0 : 0.0,
                        .desired_replicas = apple_active ? 1.0 : 0.0,
                        .active = apple_active,
                        .service_seconds = 0.010};
  return {.instance = instance, .domains = {apple, {}}, .when = Clock::now()};
}

class DemandBoardTest : public ::testing::Test {
 protected:
  /// Remembers what it was told last, and how often.
  struct Listener {
    explicit Listener(DemandBoard& on) : board(on) {
      subscription = board.Subscribe([this](const DemandBoard::News& news) {
        const std::scoped_lock lock(mutex);
        total = board.Totals();
        changes += news.own_changed ? 1 : 0;
        ++rounds;
      });
    }
    ~Listener() { board.Unsubscribe(subscription); }
    bool Active(size_t domain) {
      const std::scoped_lock lock(mutex);
      return !total.empty() && total[domain].active;
    }

    DemandBoard& board;
    DemandBoard::Subscription subscription;
    std::mutex mutex;
    std::vector<Demand> total;
    int changes = 0;
    std::atomic<int> rounds = 0;
  };

  DemandBoard board_{"tiny", {"apple", "rice"}, Still()};
};

TEST_F(DemandBoardTest, TheFirstPictureIsToldAndNotFoundOut) {
  Listener listener(board_);
  board_.meter().Wanted(kRice, Clock::now());
  EXPECT_TRUE(Eventually([&] { return listener.Active(kRice); }));
  EXPECT_FALSE(listener.Active(kApple));
  EXPECT_EQ(listener.changes, 1);
}

TEST_F(DemandBoardTest, APeersFirstPictureIsToldToo) {
  board_.Put("10.0.0.2:8001", Says("a", false));
  Listener listener(board_);
  EXPECT_EQ(listener.rounds, 0);
  board_.Put("10.0.0.2:8001", Says("a", true));
  EXPECT_TRUE(Eventually([&] { return listener.Active(kApple); }));
  EXPECT_EQ(listener.changes, 0) << "it is not ours";
  EXPECT_EQ(board_.Totals()[kApple].desired_replicas, 1.0);
  EXPECT_EQ(board_.Own()[kApple].desired_replicas, 0.0);
  board_.Forget("10.0.0.2:8001");
  EXPECT_FALSE(board_.Totals()[kApple].active);
}

TEST_F(DemandBoardTest, WhoUnsubscribedIsToldNoMore) {
  Listener stays(board_);
  int rounds = 0;
  {
    Listener goes(board_);
    board_.Wake();
    ASSERT_TRUE(Eventually([&] { return goes.rounds > 0; }));
    rounds = stays.rounds;
  }
  board_.Wake();
  EXPECT_TRUE(Eventually([&] { return stays.rounds > rounds; }));
}

TEST_F(DemandBoardTest, NothingIsDesiredWhereNothingCanBeScaled) {
  DemandBoard::Options options = Still(std::nullopt);
  options.scalable = false;
  DemandBoard board("tiny", {"apple", "rice"}, options);
  board.meter().Wanted(kApple, Clock::now());
  EXPECT_TRUE(board.Own()[kApple].active);
  EXPECT_EQ(board.Own()[kApple].desired_replicas, 0.0);
}

TEST_F(DemandBoardTest, HasANameOfItsOwn) {
  const DemandBoard other("tiny", {"apple", "rice"}, Still());
  EXPECT_THAT(board_.instance(), MatchesRegex("[0-9a-f]{16}"));
  EXPECT_THAT(other.instance(), Not(board_.instance()));
}

}  // namespace
}  // namespace orchard::router
