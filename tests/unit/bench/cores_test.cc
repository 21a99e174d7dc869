#include "bench/fleet/cores.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::bench {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

class CoresTest : public ::testing::Test {
 protected:
  /// When each piece of work ended, in seconds, in the order in which they ended.
  void Work(Cores& cores, double seconds) {
    cores.Work(seconds,
               [this] { ended_.push_back(core::Seconds(events_.now() - Events::kStart)); });
  }
  void RunAll() { events_.RunUntil(events_.now() + std::chrono::hours(1)); }
  static auto Near(double seconds) { return DoubleNear(seconds, 1e-6); }

  Events events_;
  std::vector<double> ended_;
};

TEST_F(CoresTest, APieceOfWorkHasACoreOfItsOwnWhileThereAreEnough) {
  Cores cores(events_, 2.0);
  Work(cores, 1.0);
  Work(cores, 3.0);
  RunAll();
  EXPECT_THAT(ended_, ElementsAre(Near(1.0), Near(3.0)));
  EXPECT_THAT(cores.used(), Near(4.0));
}

TEST_F(CoresTest, MoreThanThereAreCoresShareThemEvenly) {
  Cores cores(events_, 1.0);
  Work(cores, 1.0);
  events_.In(std::chrono::milliseconds(500), [&] { Work(cores, 0.25); });
  RunAll();
  // Half a second alone; then half a core each: the short one until 1.0, the rest alone.
  EXPECT_THAT(ended_, ElementsAre(Near(1.0), Near(1.25)));
  EXPECT_THAT(cores.used(), Near(1.25));
}

TEST_F(CoresTest, HalfACoreTakesTwiceAsLong) {
  Cores cores(events_, 0.5);
  Work(cores, 1.0);
  RunAll();
  EXPECT_THAT(ended_, ElementsAre(Near(2.0)));
}

TEST_F(CoresTest, WhatIsStoppedNeverEnds) {
  Cores cores(events_, 1.0);
  Work(cores, 1.0);
  events_.In(std::chrono::milliseconds(400), [&] { cores.Stop(); });
  RunAll();
  EXPECT_THAT(ended_, ElementsAre());
  EXPECT_THAT(cores.used(), Near(0.4));
  Work(cores, 1.0);
  RunAll();
  EXPECT_EQ(ended_.size(), 1U);
}

}  // namespace
}  // namespace orchard::bench
