#include "router/waiting_room.h"

#include <ctime>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::router {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

struct Guest {
  std::string name;
  std::stop_token cancelled = {};
  Slot slot = {};
};
using GuestPtr = std::unique_ptr<Guest>;
using Room = WaitingRoom<GuestPtr>;

GuestPtr Named(const std::string& name, std::stop_token cancelled = {}) {
  return std::make_unique<Guest>(Guest{.name = name, .cancelled = std::move(cancelled)});
}

Room::Entered Enter(Room& room, const std::string& caller, const std::string& name) {
  return room.Enter({.caller = caller, .bytes = 1}, Named(name));
}

TEST(WaitingRoomTest, GivesAsManyPlacesAsItHasAndTakesThemBack) {
  Room room({.limits = {.in_flight = 2}});
  EXPECT_FALSE(Enter(room, "a", "1").refused);
  EXPECT_FALSE(Enter(room, "a", "2").refused);
  GuestPtr third = Named("3");
  EXPECT_THAT(room.Enter({.caller = "a"}, std::move(third)).refused, Optional(Shed::kInFlight));
  ASSERT_NE(third, nullptr);  // It was not touched.
  EXPECT_EQ(room.load().in_flight, 2U);
  GuestPtr first = *room.Next();
  EXPECT_EQ(first->name, "1");
  EXPECT_EQ(room.load().in_flight, 2U);  // It is worked on.
  first->slot.Free();
  EXPECT_EQ(room.load().in_flight, 1U);
  first.reset();
  EXPECT_EQ(room.load().in_flight, 1U);
  EXPECT_FALSE(room.Enter({.caller = "a"}, std::move(third)).refused);
}

TEST(WaitingRoomTest, HandsOutWhoHasToGoForAnother) {
  Room room({.limits = {.in_flight = 2}});
  Enter(room, "a", "1");
  Enter(room, "a", "2");
  const auto entered = Enter(room, "b", "3");
  EXPECT_FALSE(entered.refused);
  ASSERT_EQ(entered.evicted.size(), 1U);
  EXPECT_EQ(entered.evicted[0].item->name, "2");
  EXPECT_EQ(entered.evicted[0].reason, Shed::kCallerShare);
  EXPECT_EQ(room.load().in_flight, 2U);  // Although 2 still has its slot.
}

TEST(WaitingRoomTest, WhoHasGoneWhileWaitingGivesItsPlaceUp) {
  Room room({.limits = {.in_flight = 1}});
  std::stop_source caller;
  room.Enter({.caller = "a"}, Named("gone", caller.get_token()));
  EXPECT_TRUE(room.WouldRefuse({.caller = "a"}));
  caller.request_stop();
  EXPECT_FALSE(room.WouldRefuse({.caller = "a"}));
  const auto entered = Enter(room, "a", "2");
  EXPECT_TRUE(room.WouldRefuse({.caller = "a"}));
  EXPECT_FALSE(entered.refused);
  ASSERT_EQ(entered.gone.size(), 1U);
  EXPECT_EQ(entered.gone[0]->name, "gone");
  EXPECT_EQ((*room.Next())->name, "2");
}

TEST(WaitingRoomTest, WhoHasGoneGoesBeforeOneWhoWaits) {
  Room room({.limits = {.in_flight = 2}});
  std::stop_source caller;
  caller.request_stop();  // Before it has come.
  room.Enter({.caller = "a"}, Named("gone", caller.get_token()));
  Enter(room, "a", "2");
  const auto entered = Enter(room, "b", "3");
  EXPECT_FALSE(entered.refused);
  EXPECT_TRUE(entered.evicted.empty());
  ASSERT_EQ(entered.gone.size(), 1U);
}

TEST(WaitingRoomTest, WhoGoesWhenItsTurnHasComeMakesNoRoom) {
  Room room({.limits = {.in_flight = 2}});
  std::stop_source early, late;
  room.Enter({.caller = "a"}, Named("early", early.get_token()));
  room.Enter({.caller = "a"}, Named("late", late.get_token()));
  early.request_stop();
  const GuestPtr first = *room.Next();
  const GuestPtr second = *room.Next();
  late.request_stop();
  EXPECT_TRUE(room.WouldRefuse({.caller = "a"}));
  const auto entered = Enter(room, "a", "3");
  EXPECT_TRUE(entered.refused);
  EXPECT_TRUE(entered.gone.empty());
}

TEST(WaitingRoomTest, WhoLeavesForAnotherAndGoesIsNotHandedOutTwice) {
  Room room({.limits = {.in_flight = 2}});
  std::stop_source caller;
  Enter(room, "a", "1");
  room.Enter({.caller = "a"}, Named("2", caller.get_token()));
  const auto entered = Enter(room, "b", "3");
  ASSERT_EQ(entered.evicted.size(), 1U);
  caller.request_stop();
  EXPECT_TRUE(Enter(room, "b", "4").gone.empty());
}

TEST(WaitingRoomTest, CallersMayGoWhileTheirTurnsCome) {
  constexpr int kGuests = 2000;
  Room room({.limits = {.in_flight = kGuests, .waiting = kGuests}, .max_ahead = kGuests});
  std::vector<std::stop_source> callers(kGuests);
  for (size_t i = 0; i < callers.size(); ++i) {
    room.Enter({.caller = std::to_string(i)}, Named("", callers[i].get_token()));
  }
  std::thread going([&] {
    for (std::stop_source& caller : callers) caller.request_stop();
  });
  std::vector<GuestPtr> served;
  for (int i = 0; i < kGuests / 2; ++i) served.push_back(*room.Next());
  going.join();
  const auto entered = Enter(room, "b", "last");
  EXPECT_EQ(served.size() + entered.gone.size(), size_t{kGuests});
  EXPECT_EQ(room.load().waiting, 1U);
}

TEST(WaitingRoomTest, LetsDecodersNotRunFurtherAheadOfTheEncoderThanItMay) {
  Room room({.limits = {}, .max_ahead = 2});
  for (const char* name : {"1", "2", "3", "4"}) Enter(room, "a", name);
  GuestPtr first = *room.Next();
  const GuestPtr second = *room.Next();
  std::vector<std::string> later;
  std::thread decoder([&] {
    while (auto guest = room.Next()) later.push_back((*guest)->name);
  });
  EXPECT_EQ(room.load().ahead, 2U);
  first->slot.Encoding();  // One more may come; when that one goes, another.
  room.Stop();
  decoder.join();
  EXPECT_THAT(later, ElementsAre("3", "4"));
  EXPECT_EQ(room.load().ahead, 1U);
  EXPECT_EQ(room.load().in_flight, 2U);
}

TEST(WaitingRoomTest, StopsWhenNobodyWaits) {
  Room room({.limits = {}});
  std::thread decoder([&] { EXPECT_FALSE(room.Next()); });
  room.Stop();
  decoder.join();
}

TEST(WaitingRoomTest, AllDecodersEndWhenTheLastRequestIsTakenWhileStopping) {
  Room room({.limits = {}, .max_ahead = 1});
  Enter(room, "a", "1");
  Enter(room, "a", "2");
  GuestPtr first = *room.Next();
  std::vector<std::thread> decoders;
  for (int i = 0; i < 4; ++i) {
    decoders.emplace_back([&] {
      while (room.Next()) {
      }
    });
  }
  room.Stop();
  first->slot.Encoding();
  for (std::thread& decoder : decoders) decoder.join();
  EXPECT_EQ(room.load().waiting, 0U);
}

TEST(WaitingRoomTest, SaysWhoIsAhead) {
  Room room({.limits = {}});
  Enter(room, "a", "1");
  Enter(room, "a", "2");
  EXPECT_EQ(room.AheadOf("a", Priority::kInteractive).requests, 2U);
  EXPECT_EQ(room.AheadOf("b", Priority::kInteractive).requests, 1U);
  EXPECT_EQ(room.load().waiting, 2U);
  EXPECT_EQ(room.load().bytes, 2U);
  EXPECT_EQ(room.load().callers, 1U);
}

/// Seconds of this thread that a thousand judgements of who will be refused take.
double SecondsToForesee(const Room& room, const std::string& caller) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double begin = now();
  for (int i = 0; i < 1000; ++i) {
    room.AheadOf(caller, Priority::kInteractive);
    EXPECT_TRUE(room.WouldRefuse({.caller = caller, .bytes = 1}));
  }
  return now() - begin;
}

// A look at all who wait took a millisecond or more, under the lock, for each call of a flood. Held
// to a room with a thousandth of them: looks at all would take a thousand times as long.
TEST(WaitingRoomTest, ManyWhoWaitMakeNoJudgementSlow) {
  constexpr size_t kMany = 65536, kFew = 64;
  constexpr double kTimes = 100.0;
  const auto seconds = [](size_t waiting, bool one_caller) {
    Room room({.limits = {.in_flight = 2 * waiting, .waiting = waiting}});  // Full with them.
    for (size_t i = 0; i < waiting; ++i) Enter(room, one_caller ? "flood" : std::to_string(i), "");
    return SecondsToForesee(room, one_caller ? "flood" : "newcomer");
  };
  EXPECT_LT(seconds(kMany, true), kTimes * seconds(kFew, true));
  EXPECT_LT(seconds(kMany, false), kTimes * seconds(kFew, false));
}

}  // namespace
}  // namespace orchard::router
