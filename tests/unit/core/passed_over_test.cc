#include "core/passed_over.h"

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

TEST(IsPassedOverTest, KnowsWhatToolsLeaveBesidePictures) {
  for (const char* path : {"a/._leaf.jpg", ".git", "a/__MACOSX", "@eaDir"}) {
    EXPECT_TRUE(IsPassedOver(path)) << path;
  }
  for (const char* path : {"a/leaf.jpg", ".hidden/leaf.jpg", "__MACOSX/leaf.jpg", "a/@leaf.jpg"}) {
    EXPECT_FALSE(IsPassedOver(path)) << path;
  }
}

}  // namespace
}  // namespace orchard::core
