#include "clients/cpp/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::client {
namespace {

using ::testing::ElementsAre;

TEST(PolicyTest, NamesAreTheProtocolsInSmallLetters) {
  EXPECT_THAT(PolicyNames(),
              ElementsAre("exact", "hard", "top_k", "threshold", "nucleus", "dense", "pinned"));
  for (const std::string& name : PolicyNames()) EXPECT_EQ(PolicyName(*ParsePolicy(name)), name);
}

TEST(PolicyTest, AnyCaseIsReadAndOtherWordsAreNot) {
  EXPECT_EQ(ParsePolicy("Top_K"), v1::TOP_K);
  for (const char* word : {"", "best", "policy_unspecified", "exact ", "1"}) {
    EXPECT_EQ(ParsePolicy(word), std::nullopt) << word;
  }
}

}  // namespace
}  // namespace orchard::client
