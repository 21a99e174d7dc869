#include "tests/testing/allocations.h"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace orchard::testing {
namespace {

thread_local size_t allocations = 0;
std::atomic<size_t> too_much = std::numeric_limits<size_t>::max();

}  // namespace

size_t CountAllocations(const std::function<void()>& work) {
  const size_t before = allocations;
  work();
  return allocations - before;
}

ShortMemory::ShortMemory(size_t bytes) { too_much = bytes; }
ShortMemory::~ShortMemory() { too_much = std::numeric_limits<size_t>::max(); }

}  // namespace orchard::testing

// Not inlined: GCC would see free() take what new gave.
[[gnu::noinline]] void* operator new(size_t size) {
  ++orchard::testing::allocations;
  const bool short_of = size >= orchard::testing::too_much.load(std::memory_order_relaxed);
  void* const memory = short_of ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
