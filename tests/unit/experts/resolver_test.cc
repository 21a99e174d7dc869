#include "experts/resolver.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <latch>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

/// What was told, in order.
class Told {
 public:
  Resolver::Watcher Watcher() {
    return [this](const absl::StatusOr<HostAddresses>& addresses) {
      const std::lock_guard lock(mutex_);
      told_.push_back(addresses);
      changed_.notify_all();
    };
  }
  absl::StatusOr<HostAddresses> Await(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return told_.size() >= count; });
    return told_[count - 1];
  }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return told_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<absl::StatusOr<HostAddresses>> told_;
};

TEST(ResolverTest, TellsAgainAndAgain) {
  Told told;
  Told other;
  std::atomic<int> look_ups = 0;
  Resolver resolver({.interval = 1ms, .hurry = 1ms, .look_up = [&](const std::string& host) {
                       return HostAddresses{host + std::to_string(++look_ups)};
                     }});
  const Resolver::Watch watch = resolver.Add("a", told.Watcher());
  EXPECT_THAT(*told.Await(1), ElementsAre("a1"));
  EXPECT_THAT(*told.Await(3), ElementsAre("a3"));
  resolver.Remove(watch);
  const size_t count = told.count();
  resolver.Add("b", other.Watcher());
  ASSERT_THAT(other.Await(3), IsOk());
  EXPECT_EQ(told.count(), count);
}

TEST(ResolverTest, PassesFailuresOnAndGoesOn) {
  Told told;
  std::atomic<bool> well = false;
  Resolver resolver({.interval = 1ms, .hurry = 1ms, .look_up = [&](const std::string&) {
                       return well ? absl::StatusOr<HostAddresses>(HostAddresses{"::1"})
                                   : absl::UnavailableError("no name server");
                     }});
  resolver.Add("a", told.Watcher());
  EXPECT_THAT(told.Await(1), StatusIs(absl::StatusCode::kUnavailable, "no name server"));
  well = true;
  size_t count = told.count();
  while (!told.Await(++count).ok()) {
  }
}

TEST(ResolverTest, HurriesButNotMoreOftenThanItMay) {
  Told told;
  Told other;
  std::atomic<int> look_ups = 0;
  Resolver resolver({.interval = 1h, .hurry = 1h, .look_up = [&](const std::string&) {
                       ++look_ups;
                       return HostAddresses{"::1"};
                     }});
  resolver.Add("a", told.Watcher());
  EXPECT_THAT(told.Await(1), IsOk());
  for (int i = 0; i < 1000; ++i) resolver.Hurry("a");
  resolver.Add("b", other.Watcher());  // Its own look-up shows that the thread has been round.
  EXPECT_THAT(other.Await(1), IsOk());
  EXPECT_EQ(look_ups, 2);
}

TEST(ResolverTest, LooksUpAtOnceWhenInAHurry) {
  Told told;
  Resolver resolver({.interval = 1h, .hurry = 1ms, .look_up = [](const std::string&) {
                       return HostAddresses{"::1"};
                     }});
  resolver.Add("a", told.Watcher());
  EXPECT_THAT(told.Await(1), IsOk());
  resolver.Hurry("a");
  EXPECT_THAT(told.Await(2), IsOk());
  resolver.Hurry("a");
  EXPECT_THAT(told.Await(3), IsOk());
}

TEST(ResolverTest, WhoIsInAGreaterHurrySaysHowGreat) {
  Told told;
  Resolver resolver({.interval = 1h, .hurry = 1h, .look_up = [](const std::string&) {
                       return HostAddresses{"::1"};
                     }});
  resolver.Add("a", told.Watcher());
  EXPECT_THAT(told.Await(1), IsOk());
  resolver.Hurry("a");
  resolver.Hurry("a", 1ms);
  EXPECT_THAT(told.Await(2), IsOk());
}

TEST(ResolverTest, ANameThatIsNotAnsweredHoldsNoOtherUp) {
  Told told;
  std::promise<void> stuck;
  std::latch started(1);
  Resolver resolver({.interval = 1ms, .hurry = 1ms, .look_up = [&](const std::string& host) {
                       if (host == "slow") {
                         started.count_down();
                         stuck.get_future().wait();
                       }
                       return HostAddresses{"::1"};
                     }});
  const Resolver::Watch slow = resolver.Add("slow", [](const auto&) {});
  started.wait();
  resolver.Add("quick", told.Watcher());
  EXPECT_THAT(told.Await(3), IsOk());
  resolver.Remove(slow);
  stuck.set_value();
}

TEST(ResolverTest, AStuckLookUpDoesNotHoldTheEndUp) {
  auto stuck = std::make_shared<std::promise<void>>();
  auto started = std::make_shared<std::latch>(1);
  {
    Resolver resolver(
        {.interval = 1h, .hurry = 1h, .look_up = [stuck, started](const std::string&) {
           started->count_down();
           stuck->get_future().wait();
           return HostAddresses{};
         }});
    resolver.Add("a", [](const auto&) { ADD_FAILURE() << "told after the end"; });
    started->wait();
  }
  stuck->set_value();
}

TEST(LookUpHostTest, ReadsHostsFilesAndNumbers) {
  const auto addresses = LookUpHost("localhost");
  ASSERT_THAT(addresses, IsOk());
  EXPECT_THAT(*addresses, Contains(AnyOf("127.0.0.1", "::1")));
  EXPECT_THAT(*LookUpHost("127.0.0.1"), ElementsAre("127.0.0.1"));
  // Without a name server nobody can say, with one there is no such host.
  EXPECT_THAT(std::string(LookUpHost("no.such.host.invalid").status().message()),
              HasSubstr("no.such.host.invalid"));
}

TEST(LookUpErrorTest, ToldApartIsWhetherWhoKnowsSaidNo) {
  for (const int error : {EAI_NONAME, EAI_NODATA}) {
    EXPECT_THAT(LookUpError("fruit", error),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("can't look up fruit: ")));
  }
  for (const int error : {EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_SYSTEM}) {
    EXPECT_THAT(LookUpError("fruit", error),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("can't look up fruit: ")));
  }
}

}  // namespace
}  // namespace orchard::experts
