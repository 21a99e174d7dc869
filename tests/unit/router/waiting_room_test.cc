#include "router/waiting_room.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::router {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

struct Guest {
  std::string name;
  Slot slot = {};
  bool gone = false;
  bool Cancelled() const { return gone; }
};
using GuestPtr = std::unique_ptr<Guest>;
using Room = WaitingRoom<GuestPtr>;

GuestPtr Named(const std::string& name) { return std::make_unique<Guest>(Guest{.name = name}); }

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
  GuestPtr gone = Named("gone");
  gone->gone = true;
  room.Enter({.caller = "a"}, std::move(gone));
  const auto entered = Enter(room, "a", "2");
  EXPECT_FALSE(entered.refused);
  ASSERT_EQ(entered.gone.size(), 1U);
  EXPECT_EQ(entered.gone[0]->name, "gone");
  EXPECT_EQ((*room.Next())->name, "2");
}

TEST(WaitingRoomTest, WhoHasGoneGoesBeforeOneWhoWaits) {
  Room room({.limits = {.in_flight = 2}});
  GuestPtr gone = Named("gone");
  gone->gone = true;
  room.Enter({.caller = "a"}, std::move(gone));
  Enter(room, "a", "2");
  const auto entered = Enter(room, "b", "3");
  EXPECT_FALSE(entered.refused);
  EXPECT_TRUE(entered.evicted.empty());
  ASSERT_EQ(entered.gone.size(), 1U);
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

}  // namespace
}  // namespace orchard::router
