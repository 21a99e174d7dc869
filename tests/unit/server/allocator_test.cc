#include "server/allocator.h"

#include <cstdlib>
#include <malloc.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using ::orchard::testing::IsOk;

TEST(AllocatorTest, LargeBlocksComeFromTheHeapAndStayInTheProcess) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator has no such knobs";
#endif
  ASSERT_THAT(TuneAllocator(), IsOk());
  const struct mallinfo2 before = mallinfo2();
  void* const block = std::malloc(size_t{64} << 20);
  ASSERT_NE(block, nullptr);
  const struct mallinfo2 during = mallinfo2();
  std::free(block);
  const struct mallinfo2 after = mallinfo2();
  EXPECT_EQ(during.hblkhd, before.hblkhd) << "64 MiB were mapped on their own";
  EXPECT_GE(after.arena, size_t{64} << 20) << "the heap was given back to the kernel";
}

TEST(AllocatorTest, ValuesOverAnIntAreCappedAndNotNegative) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator has no such knobs";
#endif
  EXPECT_THAT(TuneAllocator({.trim_threshold = size_t{4} << 30}), IsOk());
}

}  // namespace
}  // namespace orchard::server
