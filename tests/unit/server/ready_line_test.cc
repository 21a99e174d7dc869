#include "server/ready_line.h"

#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

namespace orchard::server {
namespace {

const Address kGrpc = {.host = "127.0.0.1", .port = 1};
const Address kHttp = {.host = "127.0.0.1", .port = 2};
const Address kMetrics = {.host = "::1", .port = 3};

TEST(ReadyLineTest, NamesEveryBoundAddress) {
  EXPECT_EQ(ReadyLine("orchard-router", {.grpc = kGrpc, .http = kHttp, .metrics = kMetrics}),
            "orchard-router ready grpc=127.0.0.1:1 http=127.0.0.1:2 metrics=[::1]:3");
}

TEST(ReadyLineTest, LeavesOutWhatIsAbsent) {
  EXPECT_EQ(ReadyLine("orchard-expert", {.grpc = kGrpc, .metrics = kMetrics}),
            "orchard-expert ready grpc=127.0.0.1:1 metrics=[::1]:3");
}

TEST(ReadyLineTest, IsFlushedAsOneLine) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  PrintReadyLine("p", {.grpc = kGrpc}, out);
  EXPECT_EQ(std::string(text, size), "p ready grpc=127.0.0.1:1\n");  // Before the file is closed.
  std::fclose(out);
  std::free(text);
}

}  // namespace
}  // namespace orchard::server
