#include "server/internal/log_queue.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::server::internal {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Drain(LogQueue& queue) {
  std::vector<std::string> lines;
  while (!queue.empty()) lines.push_back(queue.Pop());
  return lines;
}

TEST(LogQueueTest, LinesComeOutAsTheyCameIn) {
  LogQueue queue(4);
  EXPECT_EQ(queue.Push(false, "a"), 0U);
  EXPECT_EQ(queue.Push(true, "B"), 0U);
  EXPECT_EQ(queue.Push(false, "c"), 0U);
  EXPECT_EQ(queue.Push(true, "D"), 0U);
  EXPECT_THAT(Drain(queue), ElementsAre("a", "B", "c", "D"));
}

TEST(LogQueueTest, AFloodOfOrdinaryLinesHidesNoWarning) {
  LogQueue queue(3);
  queue.Push(true, "WARNING");
  size_t dropped = 0;
  for (int i = 0; i < 1000; ++i) dropped += queue.Push(false, std::to_string(i));
  EXPECT_EQ(dropped, 998U);
  EXPECT_THAT(Drain(queue), ElementsAre("WARNING", "998", "999"));
}

TEST(LogQueueTest, AWarningTakesThePlaceOfAnOrdinaryLine) {
  LogQueue queue(2);
  queue.Push(false, "a");
  queue.Push(false, "b");
  EXPECT_EQ(queue.Push(true, "C"), 1U);
  EXPECT_EQ(queue.Push(true, "D"), 1U);
  EXPECT_THAT(Drain(queue), ElementsAre("C", "D"));
}

TEST(LogQueueTest, AmongWarningsTheLatestStayAndOrdinaryLinesGo) {
  LogQueue queue(2);
  queue.Push(true, "A");
  queue.Push(true, "B");
  EXPECT_EQ(queue.Push(false, "c"), 1U);
  EXPECT_EQ(queue.Push(true, "D"), 1U);
  EXPECT_THAT(Drain(queue), ElementsAre("B", "D"));
}

}  // namespace
}  // namespace orchard::server::internal
