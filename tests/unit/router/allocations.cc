#include "tests/unit/router/allocations.h"

#include <cstdlib>
#include <new>

namespace orchard::router::testing {
namespace {

thread_local size_t allocations = 0;

}  // namespace

size_t CountAllocations(const std::function<void()>& work) {
  const size_t before = allocations;
  work();
  return allocations - before;
}

}  // namespace orchard::router::testing

// Not inlined: GCC would see free() take what new gave.
[[gnu::noinline]] void* operator new(size_t size) {
  ++orchard::router::testing::allocations;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
