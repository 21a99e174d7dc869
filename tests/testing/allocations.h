#pragma once

#include <cstddef>
#include <functional>

/// \file
/// Memory as a program's operator new gives it: counted, or short. Only for test programs that have
/// allocations.cc among their sources.

namespace orchard::testing {

/// How often `work` asks for memory. Only this thread's are counted.
size_t CountAllocations(const std::function<void()>& work);

/// While it lives, whoever asks for `bytes` or more at a time is told that there are none, on every
/// thread: std::bad_alloc. One at a time.
class ShortMemory {
 public:
  explicit ShortMemory(size_t bytes);
  ~ShortMemory();
  ShortMemory(const ShortMemory&) = delete;
  ShortMemory& operator=(const ShortMemory&) = delete;
};

}  // namespace orchard::testing
