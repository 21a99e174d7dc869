#include "server/internal/log_queue.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::server::internal {
namespace {

using ::testing::ElementsAre;

LogLine Warning(std::string text) {
  return {.level = LogLevel::kWarning, .at = {}, .text = std::move(text)};
}
LogLine Info(std::string text) {
  return {.level = LogLevel::kInfo, .at = {}, .text = std::move(text)};
}

std::vector<std::string> Drain(LogQueue& queue) {
  std::vector<std::string> lines;
  while (!queue.empty()) lines.push_back(queue.Pop().text);
  return lines;
}

TEST(LogQueueTest, LinesComeOutAsTheyCameIn) {
  LogQueue queue(4);
  EXPECT_EQ(queue.Push(Info("a")), 0U);
  EXPECT_EQ(queue.Push(Warning("B")), 0U);
  EXPECT_EQ(queue.Push(Info("c")), 0U);
  EXPECT_EQ(queue.Push(Warning("D")), 0U);
  EXPECT_THAT(Drain(queue), ElementsAre("a", "B", "c", "D"));
}

TEST(LogQueueTest, AFloodOfOrdinaryLinesHidesNoWarning) {
  LogQueue queue(3);
  queue.Push(Warning("WARNING"));
  size_t dropped = 0;
  for (int i = 0; i < 1000; ++i) dropped += queue.Push(Info(std::to_string(i)));
  EXPECT_EQ(dropped, 998U);
  EXPECT_THAT(Drain(queue), ElementsAre("WARNING", "998", "999"));
}

TEST(LogQueueTest, AWarningTakesThePlaceOfAnOrdinaryLine) {
  LogQueue queue(2);
  queue.Push(Info("a"));
  queue.Push(Info("b"));
  EXPECT_EQ(queue.Push(Warning("C")), 1U);
  EXPECT_EQ(queue.Push(Warning("D")), 1U);
  EXPECT_THAT(Drain(queue), ElementsAre("C", "D"));
}

TEST(LogQueueTest, AmongWarningsTheLatestStayAndOrdinaryLinesGo) {
  LogQueue queue(2);
  queue.Push(Warning("A"));
  queue.Push(Warning("B"));
  EXPECT_EQ(queue.Push(Info("c")), 1U);
  EXPECT_EQ(queue.Push(Warning("D")), 1U);
  EXPECT_THAT(Drain(queue), ElementsAre("B", "D"));
}

TEST(LogQueueTest, ErrorsStayLikeWarningsAndDebugLinesGoLikeInfo) {
  LogQueue queue(2);
  queue.Push({.level = LogLevel::kDebug, .at = {}, .text = "d"});
  queue.Push({.level = LogLevel::kError, .at = {}, .text = "E"});
  EXPECT_EQ(queue.Push(Info("i")), 1U);
  EXPECT_EQ(queue.Push(Info("j")), 1U);
  EXPECT_THAT(Drain(queue), ElementsAre("E", "j"));
}

}  // namespace
}  // namespace orchard::server::internal
