#include "router/fair_share.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::router {
namespace {

using ::testing::ElementsAre;

using Id = FairShare::Id;

FairShare::Ask From(std::string_view caller, Priority priority = Priority::kInteractive,
                    std::uint64_t bytes = 1) {
  return {.caller = caller, .priority = priority, .bytes = bytes};
}

/// How many of `count` requests got in.
size_t EnterMany(FairShare& share, const FairShare::Ask& ask, size_t count) {
  size_t entered = 0;
  for (size_t i = 0; i < count; ++i) entered += share.Enter(ask).id.has_value() ? 1U : 0U;
  return entered;
}

TEST(FairShareTest, ALoneCallerMayTakeEverything) {
  FairShare share({.in_flight = 8});
  EXPECT_EQ(EnterMany(share, From("a"), 10), 8U);
  const auto refused = share.Enter(From("a"));
  EXPECT_FALSE(refused.id);
  EXPECT_EQ(refused.reason, Shed::kInFlight);
  EXPECT_TRUE(refused.evicted.empty());
  EXPECT_EQ(share.in_flight(), 8U);
}

TEST(FairShareTest, OthersFindASixteenthWhenAllThatACallerHasIsWorkedOn) {
  FairShare share({.in_flight = 64});
  for (int i = 0; i < 60; ++i) {
    EXPECT_TRUE(share.Enter(From("a")).id);
    EXPECT_TRUE(share.Next());
  }
  const auto refused = share.Enter(From("a"));
  EXPECT_FALSE(refused.id);
  EXPECT_EQ(refused.reason, Shed::kCallerShare);
  EXPECT_EQ(EnterMany(share, From("b"), 3), 3U);
  EXPECT_EQ(EnterMany(share, From("c"), 3), 2U) << "one free place, and one of b's";
  EXPECT_EQ(share.InFlightOf("a"), 60U);
}

TEST(FairShareTest, AtItsMostACallersOwnBatchStillYields) {
  FairShare share({.in_flight = 32});
  EXPECT_EQ(EnterMany(share, From("a", Priority::kBatch), 40), 30U);
  const auto urgent = share.Enter(From("a"));
  ASSERT_TRUE(urgent.id);
  ASSERT_EQ(urgent.evicted.size(), 1U);
  EXPECT_EQ(share.InFlightOf("a"), 30U);
}

TEST(FairShareTest, ASecondCallerIsLetInAtOnceInThePlaceOfTheNewestThatWaits) {
  FairShare share({.in_flight = 4});
  std::vector<Id> first;
  for (int i = 0; i < 4; ++i) first.push_back(*share.Enter(From("a")).id);
  const auto second = share.Enter(From("b"));
  ASSERT_TRUE(second.id);
  ASSERT_EQ(second.evicted.size(), 1U);
  EXPECT_EQ(second.evicted[0].id, first[3]);
  EXPECT_EQ(second.evicted[0].reason, Shed::kCallerShare);
  EXPECT_EQ(share.in_flight(), 4U);
  EXPECT_EQ(share.InFlightOf("a"), 3U);
  share.Leave(first[3]);  // Its owner does not know yet: nothing happens twice.
  EXPECT_EQ(share.in_flight(), 4U);
}

TEST(FairShareTest, PlacesEndUpEvenAndNobodyIsPushedBelowItsShare) {
  FairShare share({.in_flight = 12});
  EnterMany(share, From("a"), 100);
  EXPECT_EQ(EnterMany(share, From("b"), 100), 6U);
  EXPECT_EQ(EnterMany(share, From("c"), 100), 4U);
  EXPECT_EQ(share.InFlightOf("a"), 4U);
  EXPECT_EQ(share.InFlightOf("b"), 4U);
  EXPECT_EQ(share.InFlightOf("c"), 4U);
  const auto refused = share.Enter(From("a"));
  EXPECT_FALSE(refused.id);
  EXPECT_EQ(refused.reason, Shed::kCallerShare);
}

TEST(FairShareTest, WhatIsWorkedOnIsNeverTakenAway) {
  FairShare share({.in_flight = 3});
  EnterMany(share, From("a"), 3);
  while (share.Next()) {
  }
  const auto refused = share.Enter(From("b"));
  EXPECT_FALSE(refused.id);
  EXPECT_EQ(refused.reason, Shed::kInFlight);
  EXPECT_EQ(share.InFlightOf("a"), 3U);
}

TEST(FairShareTest, CallersTakeTurnsAndOfOneFirstComeIsFirstServed) {
  FairShare share({});
  std::map<Id, std::string> names;
  for (int i = 0; i < 4; ++i) names[*share.Enter(From("a")).id] = "a" + std::to_string(i);
  for (int i = 0; i < 2; ++i) names[*share.Enter(From("b")).id] = "b" + std::to_string(i);
  std::vector<std::string> served;
  while (const auto id = share.Next()) served.push_back(names[*id]);
  EXPECT_THAT(served, ElementsAre("a0", "b0", "a1", "b1", "a2", "a3"));
}

TEST(FairShareTest, BatchWaitsForInteractiveButNeverForEver) {
  FairShare share({});
  std::map<Id, char> kinds;
  for (int i = 0; i < 4; ++i) kinds[*share.Enter(From("a", Priority::kBatch)).id] = 'b';
  for (int i = 0; i < 20; ++i) kinds[*share.Enter(From("a")).id] = 'i';
  std::string served;
  while (const auto id = share.Next()) served += kinds[*id];
  EXPECT_EQ(served, "iiiiiiiibiiiiiiiibiiiibb");
}

TEST(FairShareTest, InteractiveTakesThePlacesOfBatchDownToAnEighth) {
  FairShare share({.in_flight = 16});
  EXPECT_EQ(EnterMany(share, From("nightly", Priority::kBatch), 20), 15U);
  EXPECT_EQ(EnterMany(share, From("weekly", Priority::kBatch), 1), 1U);
  const auto first = share.Enter(From("shop"));
  ASSERT_TRUE(first.id);
  EXPECT_EQ(first.evicted.at(0).reason, Shed::kBatchPriority);
  EXPECT_EQ(EnterMany(share, From("shop"), 100), 13U);
  EXPECT_EQ(share.InFlightOf("nightly"), 1U);
  EXPECT_EQ(share.InFlightOf("weekly"), 1U);
  const auto refused = share.Enter(From("nightly", Priority::kBatch));
  EXPECT_FALSE(refused.id);
  EXPECT_EQ(refused.reason, Shed::kBatchPriority);
}

TEST(FairShareTest, ACallersOwnBatchYieldsToItsInteractiveRequests) {
  FairShare share({.in_flight = 4});
  EnterMany(share, From("a", Priority::kBatch), 4);
  const auto decision = share.Enter(From("a"));
  ASSERT_TRUE(decision.id);
  EXPECT_EQ(decision.evicted.at(0).reason, Shed::kBatchPriority);
}

TEST(FairShareTest, BytesAreALimitBesideThePlaces) {
  FairShare share({.bytes = 100});
  EXPECT_TRUE(share.Enter(From("a", Priority::kInteractive, 60)).id);
  const auto refused = share.Enter(From("a", Priority::kInteractive, 50));
  EXPECT_FALSE(refused.id);
  EXPECT_EQ(refused.reason, Shed::kBytes);
  EXPECT_TRUE(share.Enter(From("a", Priority::kInteractive, 40)).id);
  EXPECT_EQ(share.bytes(), 100U);
}

TEST(FairShareTest, WhoIsWorkedOnMayHoldUpToHalfOfAllBytesUntilItLeaves) {
  FairShare share({.bytes = 200});
  const auto waits = share.Enter({.caller = "a", .bytes = 10});
  EXPECT_FALSE(share.Hold(*waits.id, 1)) << "its turn has not come";
  ASSERT_EQ(share.Next(), waits.id);
  EXPECT_TRUE(share.Hold(*waits.id, 50));
  EXPECT_EQ(share.bytes(), 60U);
  EXPECT_FALSE(share.Hold(*waits.id, 41));
  EXPECT_EQ(share.bytes(), 60U) << "refused, and counted all the same";
  EXPECT_TRUE(share.Hold(*waits.id, 40));
  const auto other = share.Enter({.caller = "b", .bytes = 100});
  ASSERT_TRUE(other.id.has_value()) << "the other half is for files";
  EXPECT_EQ(share.waiting_bytes(), 100.0);
  ASSERT_EQ(share.Next(), other.id);
  EXPECT_FALSE(share.Hold(*other.id, 1));
  share.Leave(*other.id);
  share.Leave(*waits.id);
  EXPECT_EQ(share.bytes(), 0U);
  EXPECT_FALSE(share.Hold(*waits.id, 1));
}

TEST(FairShareTest, OnePictureAboveTheBytesIsServedAlone) {
  FairShare share({.bytes = 100});
  const auto large = share.Enter(From("a", Priority::kInteractive, 500));
  ASSERT_TRUE(large.id);
  EXPECT_FALSE(share.Enter(From("b", Priority::kInteractive, 1)).id);
  share.Leave(*large.id);
  EXPECT_TRUE(share.Enter(From("b", Priority::kInteractive, 1)).id);
}

TEST(FairShareTest, BytesOfOneCallerDoNotKeepASecondOut) {
  FairShare share({.bytes = 100});
  EnterMany(share, From("a", Priority::kInteractive, 10), 10);
  const auto second = share.Enter(From("b", Priority::kInteractive, 10));
  ASSERT_TRUE(second.id);
  EXPECT_EQ(second.evicted.at(0).reason, Shed::kCallerShare);
  EXPECT_LE(share.bytes(), 100U);
  EXPECT_FALSE(share.Enter(From("c", Priority::kInteractive, 95)).id);  // Not at their cost.
}

TEST(FairShareTest, TheQueueIsALimitOfItsOwn) {
  FairShare share({.in_flight = 10, .waiting = 2});
  EXPECT_EQ(EnterMany(share, From("a"), 3), 2U);
  EXPECT_EQ(share.Enter(From("a")).reason, Shed::kQueue);
  EXPECT_TRUE(share.Next());
  EXPECT_TRUE(share.Enter(From("a")).id);
}

TEST(FairShareTest, ForgetsCallersWithoutRequests) {
  FairShare share({.in_flight = 4});
  for (int i = 0; i < 10'000; ++i) {
    const auto entered = share.Enter(From("caller " + std::to_string(i)));
    ASSERT_TRUE(entered.id);
    if (i % 2 == 0) share.Next();
    share.Leave(*entered.id);
  }
  EXPECT_EQ(share.callers(), 0U);
  EXPECT_EQ(share.in_flight(), 0U);
  EXPECT_EQ(share.waiting(), 0U);
  EXPECT_EQ(share.bytes(), 0U);
}

TEST(FairShareTest, SaysHowManyAreServedBeforeOneThatComes) {
  FairShare share({});
  EnterMany(share, From("a", Priority::kInteractive, 10), 6);
  EXPECT_EQ(share.AheadOf("a", Priority::kInteractive).requests, 6U);
  EXPECT_DOUBLE_EQ(share.AheadOf("a", Priority::kInteractive).bytes, 60.0);
  EXPECT_EQ(share.AheadOf("b", Priority::kInteractive).requests, 1U);  // It takes turns with a.
  EXPECT_EQ(share.AheadOf("b", Priority::kBatch).requests, 6U);
}

/// One floods, two others send what they can use: a deterministic run of 10,000 steps.
TEST(FairShareTest, SaysBeforehandWhetherAndWhyItWouldRefuse) {
  FairShare share({.in_flight = 9, .waiting = 6, .bytes = 30});
  std::map<Shed, int> refused;
  std::vector<Id> worked_on;
  std::uint64_t dice = 1;
  const auto roll = [&dice](std::uint64_t sides) {
    dice = dice * 6364136223846793005U + 1442695040888963407U;
    return (dice >> 33U) % sides;
  };
  for (int i = 0; i < 5000; ++i) {
    const std::string caller(1, static_cast<char>('a' + roll(4)));
    const FairShare::Ask ask =
        From(caller, roll(3) == 0 ? Priority::kBatch : Priority::kInteractive, 1 + roll(8));
    const std::optional<Shed> foretold = share.WouldRefuse(ask);
    const FairShare::Decision decision = share.Enter(ask);
    ASSERT_EQ(foretold.has_value(), !decision.id.has_value());
    if (foretold) {
      ASSERT_EQ(*foretold, decision.reason);
      ++refused[*foretold];
    }
    if (roll(3) == 0) {
      if (const std::optional<Id> next = share.Next()) worked_on.push_back(*next);
    }
    if (!worked_on.empty() && roll(3) == 0) {
      share.Leave(worked_on.back());
      worked_on.pop_back();
    }
  }
  EXPECT_GE(refused.size(), 4U) << "the dice met too few of the reasons";
}

TEST(FairShareTest, AFloodTakesNoTurnsFromOthers) {
  FairShare share({.in_flight = 16});
  std::map<Id, std::string> owners;
  std::map<std::string, int> served, refused;
  std::deque<Id> working;
  const auto enter = [&](const std::string& caller) {
    const auto decision = share.Enter(From(caller));
    if (!decision.id) ++refused[caller];
    for (const auto& evicted : decision.evicted) ++refused[owners[evicted.id]];
    if (decision.id) owners[*decision.id] = caller;
  };
  for (int step = 0; step < 10'000; ++step) {
    for (int i = 0; i < 5; ++i) enter("flood");
    if (step % 4 == 0) enter("shop");
    if (step % 5 == 0) enter("lab");
    if (const auto id = share.Next()) working.push_back(*id);
    if (working.size() > 4) {
      ++served[owners[working.front()]];
      share.Leave(working.front());
      working.pop_front();
    }
    ASSERT_LE(share.in_flight(), 16U);
  }
  EXPECT_EQ(refused["shop"], 0);
  EXPECT_EQ(refused["lab"], 0);
  EXPECT_GE(served["shop"], 2490);
  EXPECT_GE(served["lab"], 1990);
  EXPECT_GE(served["flood"], 5400);  // All that is left.
}

}  // namespace
}  // namespace orchard::router
